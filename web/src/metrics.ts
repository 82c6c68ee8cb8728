/**
 * What the process measures, for Prometheus. Every label has few values, all of them ours: routes that exist, root
 * fields of the schema, codes. Nothing a client sends becomes one.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

export interface Metrics {
  http(labels: { method: string; route: string; status: number }, seconds: number): void;
  graphql(labels: { type: string; operation: string; outcome: string }, seconds: number): void;
  webhook(labels: { hook: string; outcome: string }): void;
  /** The text of all metrics; what is only known by asking is asked for now. */
  render(): Promise<string>;
  readonly contentType: string;
}

/** A number that is read when the metrics are, such as a pool's or a queue's size; none when it cannot be had. */
export interface Reading {
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
  /** It only grows. */
  readonly counts?: true;
  read(): Promise<readonly { readonly labels?: Record<string, string>; readonly value: number }[]>;
}

const METHODS = new Set(['GET', 'POST', 'DELETE', 'HEAD', 'OPTIONS']);

export function createMetrics(readings: readonly Reading[]): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });

  const requests = new Histogram({
    name: 'careflex_http_request_duration_seconds',
    help: 'Time from a request to the end of its answer',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
    registers,
  });
  const operations = new Counter({
    name: 'careflex_graphql_operations_total',
    help: 'Operations by their root field and the code of their first error, ok without one',
    labelNames: ['type', 'operation', 'outcome'],
    registers,
  });
  const durations = new Histogram({
    name: 'careflex_graphql_operation_duration_seconds',
    help: 'Time from an operation to its result, or to the beginning of its stream, by its root field',
    labelNames: ['type', 'operation'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10],
    registers,
  });
  const webhooks = new Counter({
    name: 'careflex_webhooks_total',
    help: 'What a provider posted, by what became of it; refused are those without a right signature',
    labelNames: ['hook', 'outcome'],
    registers,
  });
  for (const reading of readings) addReading(registry, reading);

  return {
    http({ method, route, status }, seconds) {
      requests.observe({ method: METHODS.has(method) ? method : 'other', route, status }, seconds);
    },
    graphql({ type, operation, outcome }, seconds) {
      operations.inc({ type, operation, outcome });
      durations.observe({ type, operation }, seconds);
    },
    webhook(labels) {
      webhooks.inc(labels);
    },
    render: () => registry.metrics(),
    contentType: registry.contentType,
  };
}

function addReading(registry: Registry, reading: Reading): void {
  const { name, help, labels = [], counts } = reading;
  const measured: Counter | Gauge = new (counts ? Counter : Gauge)({
    name,
    help,
    labelNames: labels,
    registers: [registry],
    async collect() {
      measured.reset();
      // One number that cannot be had must not hide the others.
      for (const { labels = {}, value } of await reading.read().catch(() => [])) measured.inc(labels, value);
    },
  });
}
