/** The one LevelDB of a manager. Nothing else in the project opens one. */
export { crc32 } from './crc.ts';
export { createDataKeys } from './data-key.ts';
export type { DatabaseDeps, DbOp, DbRow, DbSnapshot, NamedRow } from './database.ts';
export { DATABASE_FILES, Database } from './database.ts';
export type { Disk } from './disk.ts';
export { systemDisk } from './disk.ts';
export type {
  Engine,
  EngineIterator,
  EngineOp,
  EngineSnapshot,
  EngineTextIterator,
  KeyRange,
  OpenEngine,
} from './engine.ts';
export { requiredBytes } from './free-space.ts';
export { openLevel } from './level/open-level.ts';
export type { DataKeys } from './seal.ts';
export { Sealer } from './seal.ts';
