/**
 * Ridge-penalised logistic regression on sparse rows, by Newton's method: maximises the log-likelihood less
 * ½ Σ precision (weight − prior)², whose maximum is the mode of the posterior under independent normal priors.
 * (Iteratively reweighted least squares: McCullagh, Nelder, Generalized Linear Models, 2nd ed., 2.5; the penalty: le
 * Cessie, van Houwelingen, Applied Statistics 41(1), 1992.)
 */
import { logistic } from './model.ts';

/** Rows one behind the other (CSR): row i has the columns and values from `starts[i]` up to `starts[i + 1]`. */
export interface SparseRows {
  readonly starts: Int32Array;
  readonly columns: Int32Array;
  readonly values: Float64Array;
  /** 1 or 0. */
  readonly outcomes: Uint8Array;
  /** How much each row counts. */
  readonly weights: Float64Array;
}

export interface Prior {
  readonly mean: Float64Array;
  /** 1 over the variance; above 0. */
  readonly precision: Float64Array;
}

const MOST_STEPS = 25;
/** In log-odds: no step moves any weight further than this any more. */
const CLOSE_ENOUGH = 1e-4;

/** The weights by column, from `start` on. With finite values it always converges: the objective is strictly concave. */
export function fitWeights(rows: SparseRows, prior: Prior, start: Float64Array): Float64Array {
  const weights = start.slice();
  let value = objective(rows, prior, weights);
  for (let step = 0; step < MOST_STEPS; step++) {
    const { gradient, curvature } = derivatives(rows, prior, weights);
    const direction = solve(curvature, gradient);
    const { next, reached } = lineSearch({ rows, prior, weights, direction, value });
    const moved = Math.max(...next.map((weight, i) => Math.abs(weight - (weights[i] ?? 0))), 0);
    weights.set(next);
    value = reached;
    if (moved < CLOSE_ENOUGH) break;
  }
  return weights;
}

interface Step {
  readonly rows: SparseRows;
  readonly prior: Prior;
  readonly weights: Float64Array;
  readonly direction: Float64Array;
  readonly value: number;
}

/** The whole step, or half of it as often as it takes to climb. */
function lineSearch({ rows, prior, weights, direction, value }: Step) {
  let next = weights;
  for (let size = 1; size > 1e-6; size /= 2) {
    next = weights.map((weight, i) => weight + size * (direction[i] ?? 0));
    const reached = objective(rows, prior, next);
    if (reached >= value) return { next, reached };
  }
  return { next: weights, reached: value };
}

function objective(rows: SparseRows, { mean, precision }: Prior, weights: Float64Array): number {
  let sum = 0;
  for (let row = 0; row < rows.outcomes.length; row++) {
    const logOdds = logOddsOf(rows, row, weights);
    const signed = rows.outcomes[row] === 1 ? logOdds : -logOdds;
    // log(1 / (1 + e^-x)) without overflow.
    const log = signed > 0 ? -Math.log1p(Math.exp(-signed)) : signed - Math.log1p(Math.exp(signed));
    sum += log * at(rows.weights, row);
  }
  for (let i = 0; i < weights.length; i++) sum -= (at(precision, i) * (at(weights, i) - at(mean, i)) ** 2) / 2;
  return sum;
}

function logOddsOf({ starts, columns, values }: SparseRows, row: number, weights: Float64Array): number {
  let sum = 0;
  for (let i = at(starts, row); i < at(starts, row + 1); i++) sum += at(weights, at(columns, i)) * at(values, i);
  return sum;
}

/** The gradient of the objective, and the negative of its Hessian: the lower triangle, row by row. */
function derivatives(rows: SparseRows, { mean, precision }: Prior, weights: Float64Array) {
  const size = weights.length;
  const gradient = new Float64Array(size);
  const curvature = new Float64Array(size * size);
  const { starts, columns, values } = rows;
  for (let row = 0; row < rows.outcomes.length; row++) {
    const probability = logistic(logOddsOf(rows, row, weights));
    const rowWeight = at(rows.weights, row);
    const error = (at(rows.outcomes, row) - probability) * rowWeight;
    const variance = probability * (1 - probability) * rowWeight;
    const [from, to] = [at(starts, row), at(starts, row + 1)];
    for (let i = from; i < to; i++) {
      const [column, value] = [at(columns, i), at(values, i)];
      gradient[column] = at(gradient, column) + error * value;
      for (let j = from; j < to; j++) {
        const other = at(columns, j);
        if (other > column) continue;
        const place = column * size + other;
        curvature[place] = at(curvature, place) + variance * value * at(values, j);
      }
    }
  }
  for (let i = 0; i < size; i++) {
    gradient[i] = at(gradient, i) - at(precision, i) * (at(weights, i) - at(mean, i));
    curvature[i * size + i] = at(curvature, i * size + i) + at(precision, i);
  }
  return { gradient, curvature };
}

/** Solves `matrix` x = `right` by Cholesky's decomposition, for a symmetric positive definite one; overwrites it. */
export function solve(matrix: Float64Array, right: Float64Array): Float64Array {
  const size = right.length;
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = at(matrix, i * size + j);
      for (let k = 0; k < j; k++) sum -= at(matrix, i * size + k) * at(matrix, j * size + k);
      matrix[i * size + j] = i === j ? Math.sqrt(sum) : sum / at(matrix, j * size + j);
    }
  }
  const x = right.slice();
  for (let i = 0; i < size; i++) {
    for (let k = 0; k < i; k++) x[i] = at(x, i) - at(matrix, i * size + k) * at(x, k);
    x[i] = at(x, i) / at(matrix, i * size + i);
  }
  for (let i = size - 1; i >= 0; i--) {
    for (let k = i + 1; k < size; k++) x[i] = at(x, i) - at(matrix, k * size + i) * at(x, k);
    x[i] = at(x, i) / at(matrix, i * size + i);
  }
  return x;
}

/** Within bounds by construction: a check at each of some billion reads would be most of the work. */
const at = (array: Float64Array | Int32Array | Uint8Array, i: number): number => array[i] as number;
