/**
 * Equality that looks into Temporal. For `node:assert` any two instants are deeply equal, since they have no
 * properties: such a comparison could never fail, so it is refused here.
 */
import assert from 'node:assert/strict';

/** As `assert.deepEqual`, with instants, dates and times by what they say. */
export function assertSame(actual: unknown, expected: unknown): void {
  deepEqual(spelledOut(actual), spelledOut(expected));
}

const deepEqual: typeof assert.deepEqual = assert.deepEqual;

function guarded(...compared: Parameters<typeof deepEqual>): void {
  const [actual, expected] = compared;
  if (hasTemporal(actual) && hasTemporal(expected))
    throw new Error('deepEqual cannot compare Temporal: use assertSame');
  deepEqual(...compared);
}
assert.deepEqual = guarded as typeof deepEqual;

function spelledOut(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return value;
  if (isTemporal(value)) return `${Object.prototype.toString.call(value)} ${(value as Temporal.Instant).toString()}`;
  if (Array.isArray(value)) return value.map(spelledOut);
  if (value instanceof Map) return new Map([...value].map(([key, item]) => [key, spelledOut(item)]));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, spelledOut(item)]));
}

function hasTemporal(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (isTemporal(value)) return true;
  return (value instanceof Map ? [...value.values()] : Object.values(value)).some(hasTemporal);
}

const isTemporal = (value: object): boolean => Object.prototype.toString.call(value).startsWith('[object Temporal.');
