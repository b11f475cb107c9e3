/** The tables as they are found: made where they are missing, refused where they are not ours. */
import { Fault } from '../../kernel/errors.ts';
import type { Connection } from './connection.ts';
import { PRIMARY_KEY, VERSION_COLUMNS, type Tables } from './tables.ts';

interface Owner {
  readonly id: string;
  readonly timeoutMs: number;
}

/** Rejects with a Fault when the tables cannot serve, or as `Connection.query` does. */
export async function takeTables(
  connection: Connection,
  tables: Tables,
  owner: Owner,
): Promise<void> {
  const { version, mark, books } = tables;
  const { id, timeoutMs } = owner;
  const there = async (table: string) => connection.query(books.columns, [table], timeoutMs);
  if ((await there(version)).length === 0 || (await there(mark)).length === 0) {
    await connection.script(tables.make, timeoutMs);
  }
  const wrong = await shapeFault(connection, tables, timeoutMs);
  if (wrong !== null) {
    throw new Fault('unavailable', `stash "${id}": ${wrong}`, {
      hint: 'Name another table or schema, or drop this one if nothing of it is needed.',
    });
  }
  await connection.query(books.first, [id], timeoutMs);
  const [[stash] = []] = await connection.query(books.owner, [], timeoutMs);
  if (stash !== id) {
    throw new Fault('unavailable', `${version} holds the stash "${String(stash)}", not "${id}"`, {
      hint: 'Give every stash a table of its own.',
    });
  }
}

/** Why the table of versions cannot serve; null when it can. */
export async function shapeFault(
  connection: Connection,
  { version, books }: Tables,
  timeoutMs: number,
): Promise<string | null> {
  const rows = await connection.query(books.columns, [version], timeoutMs);
  const found = new Map(rows.map(([name, type, collation]) => [name, { type, collation }]));
  for (const [name, type] of VERSION_COLUMNS) {
    const column = found.get(name);
    if (column === undefined) return `${version} has no column ${name}`;
    if (column.type !== type) return `${version}.${name} is ${String(column.type)}, not ${type}`;
    if (type === 'text' && column.collation !== 'C') {
      return `${version}.${name} has the collation ${String(column.collation)}, not "C"`;
    }
  }
  const [[primary] = []] = await connection.query(books.primary, [], timeoutMs);
  if (primary !== PRIMARY_KEY) return `the primary key of ${version} is not (${PRIMARY_KEY})`;
  return null;
}
