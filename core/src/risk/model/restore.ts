/** Models from what was stored of them. */
import { legacyModel } from './legacy.ts';
import type { ModelState, RiskModel } from './model.ts';
import { scorecardModel, type ScorecardState } from './scorecard.ts';
import { statisticalModel, type StatisticalState } from './statistical.ts';

/** The model whose `toJSON` this was. */
export function restore(state: ModelState): RiskModel {
  switch (state.kind) {
    case 'STATISTICAL':
      return statisticalModel(state as StatisticalState);
    case 'ADVANCED':
      return scorecardModel(state as ScorecardState);
    case 'LEGACY':
      return legacyModel;
  }
}
