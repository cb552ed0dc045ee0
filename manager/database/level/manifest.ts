import { Cursor } from './varint.ts';

/** Tags of a version edit, LevelDB's record of what its database consists of. */
const COMPARATOR = 1;
const LOG_NUMBER = 2;
const NEXT_FILE_NUMBER = 3;
const LAST_SEQUENCE = 4;
const COMPACT_POINTER = 5;
const DELETED_FILE = 6;
const NEW_FILE = 7;
const PREVIOUS_LOG_NUMBER = 9;

/** What a MANIFEST says that there must be. */
export class Manifest {
  /** The write-ahead log that is not in tables yet, and all with higher numbers. */
  logNumber = 0;
  previousLogNumber = 0;
  /** Sizes in bytes of the tables, by their number. */
  readonly tables = new Map<number, number>();

  /** Takes one record of the file. Throws RangeError when it is none. */
  add(record: Buffer): void {
    const cursor = new Cursor(record);
    while (!cursor.isAtEnd) this.#field(cursor, cursor.varint());
  }

  #field(cursor: Cursor, tag: number): void {
    switch (tag) {
      case COMPARATOR:
        cursor.string();
        return;
      case LOG_NUMBER:
        this.logNumber = cursor.varint();
        return;
      case PREVIOUS_LOG_NUMBER:
        this.previousLogNumber = cursor.varint();
        return;
      case NEXT_FILE_NUMBER:
      case LAST_SEQUENCE:
        cursor.varint();
        return;
      case COMPACT_POINTER:
        cursor.varint();
        cursor.string();
        return;
      case DELETED_FILE:
        cursor.varint();
        this.tables.delete(cursor.varint());
        return;
      case NEW_FILE:
        this.#newFile(cursor);
        return;
      default:
        throw new RangeError(`an unknown field ${tag}`);
    }
  }

  #newFile(cursor: Cursor): void {
    cursor.varint();
    const number = cursor.varint();
    this.tables.set(number, cursor.varint());
    cursor.string();
    cursor.string();
  }
}
