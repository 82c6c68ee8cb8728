/**
 * A statement under a name, whose rows the server describes to a connection only once: from then on values travel, and
 * nothing else.
 *
 * This stands on the insides of `pg`'s Query, which has no door for it. Its version is pinned.
 */
import pg from 'pg';

/** How the rows of a statement look, and how they are read. */
interface Shape {
  fields: unknown[];
  _parsers: unknown;
  _prebuiltEmptyResultObject: unknown;
}

interface Connection {
  readonly parsedStatements: Readonly<Record<string, string>>;
  describe: (of: object) => void;
}

/** What pg's Query has and its types do not tell. */
interface Insides {
  _result: Shape;
  _accumulateRows: boolean;
  prepare(connection: Connection): void;
  handleCommandComplete(message: object, connection: Connection): void;
}

const { prototype: inherited } = pg.Query as unknown as { prototype: Insides };

export class NamedQuery extends pg.Query {
  readonly #name: string;
  #isKnown = false;

  constructor(query: { readonly name: string; readonly text: string; readonly values: unknown[] }) {
    super(query);
    this.#name = query.name;
  }

  prepare(connection: Connection): void {
    const insides = this as unknown as Insides;
    const shape = connection.parsedStatements[this.#name] && shapes.get(connection)?.get(this.#name);
    if (!shape) return inherited.prepare.call(insides, connection);
    this.#isKnown = true;
    insides._accumulateRows = true;
    Object.assign(insides._result, shape);
    isDescribed = true;
    try {
      inherited.prepare.call(insides, connection);
    } finally {
      isDescribed = false;
    }
  }

  handleCommandComplete(message: object, connection: Connection): void {
    const insides = this as unknown as Insides;
    inherited.handleCommandComplete.call(insides, message, connection);
    if (this.#isKnown) return;
    const { fields, _parsers, _prebuiltEmptyResultObject } = insides._result;
    shapesOf(connection).set(this.#name, { fields, _parsers, _prebuiltEmptyResultObject });
  }
}

const shapes = new WeakMap<Connection, Map<string, Shape>>();

/** While the messages of a query are written that needs no description. */
let isDescribed = false;

function shapesOf(connection: Connection): Map<string, Shape> {
  const known = shapes.get(connection);
  if (known !== undefined) return known;
  const describe = connection.describe.bind(connection);
  connection.describe = (of) => {
    if (!isDescribed) describe(of);
  };
  const none = new Map<string, Shape>();
  shapes.set(connection, none);
  return none;
}
