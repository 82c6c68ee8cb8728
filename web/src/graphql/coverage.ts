/** Which benefit pays for a service. */
import * as scheduling from '@careflex/core/scheduling';
import { readers } from './appointments.ts';
import { BenefitType, BenefitUnit } from './benefits.ts';
import { builder } from './builder.ts';

const BenefitOnNoShow = builder.enumType('BenefitOnNoShow', {
  description: 'What becomes of the amount when the patient does not come.',
  values: scheduling.ON_NO_SHOW,
});

export const ServiceCoverage = builder.objectRef<scheduling.Coverage>('ServiceCoverage').implement({
  description: 'Which benefit pays for a visit of the service, and how much.',
  authScopes: readers,
  fields: (t) => ({
    type: t.expose('type', { type: BenefitType }),
    unit: t.expose('unit', { type: BenefitUnit }),
    amount: t.expose('amount', { type: 'Decimal' }),
    onNoShow: t.expose('onNoShow', { type: BenefitOnNoShow }),
  }),
});

export const ServiceCoverageInput = builder.inputType('ServiceCoverageInput', {
  fields: (t) => ({
    type: t.field({ type: BenefitType, required: true }),
    unit: t.field({ type: BenefitUnit, required: true }),
    amount: t.field({ type: 'Decimal', required: true }),
    onNoShow: t.field({ type: BenefitOnNoShow, description: 'RELEASE unless given.' }),
  }),
});
