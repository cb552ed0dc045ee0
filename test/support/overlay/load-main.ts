import { Load, type Target } from '../load.ts';

/** Requests from the network that this is started in, until its input ends; then one JSON line. */
const { targets, perSecond, path } = JSON.parse(process.argv[2]!) as {
  readonly targets: readonly Target[];
  readonly perSecond: number;
  readonly path?: string;
};
const load = new Load(targets, perSecond, (n) => path ?? `/slow?ms=${5 + ((n * 97) % 496)}`);
process.stdin.resume();
process.stdin.on('end', async () => {
  const { sent, answered, lost, resent, bodies } = await load.stop();
  process.stdout.write(
    `${JSON.stringify({ sent, answered, lost, resent, bodies: [...bodies] })}\n`,
  );
});
