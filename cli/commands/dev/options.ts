import type { Command } from 'commander';
import type { Context } from '../../context.ts';
import { devDirOf } from '../../dev/marker.ts';
import { surroundingsOf } from '../../local-daemon.ts';
import type { Flags } from '../../spec/flags.ts';

export function declareDir(command: Command): Command {
  return command.option(
    '--dir <DIR>',
    "Folder of the cluster (default: SWARM_DEV_DIR, or one's own)",
  );
}

export function dirOf(context: Context, flags: Flags): string {
  return devDirOf(surroundingsOf(context), flags.text('dir'));
}
