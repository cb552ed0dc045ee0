/** The operator's side of the state: backup, restore, and a new cluster from what survived. */
export type { BackupSummary } from './backup.ts';
export { backUp, positionOf } from './backup.ts';
export { writeNewFile } from './backup-file.ts';
export type { BackupKey } from './backup-key.ts';
export { makeBackupKey, parseBackupKey } from './backup-key.ts';
export { onlineSnapshot } from './online-backup.ts';
export type { RecoverDeps, Recovered } from './recover.ts';
export { recover } from './recover.ts';
export type { Restored, RestoreTarget } from './restore.ts';
export { restore } from './restore.ts';
