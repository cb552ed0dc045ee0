import { Load, type Target } from '../load.ts';

/**
 * Requests from the network that this is started in, until its input ends; then one JSON line. Answers
 * take 5 to 500 ms, as the server is asked to.
 */
const { targets, perSecond } = JSON.parse(process.argv[2]!) as {
  readonly targets: readonly Target[];
  readonly perSecond: number;
};
const load = new Load(targets, perSecond, (n) => `/slow?ms=${5 + ((n * 97) % 496)}`);
process.stdin.resume();
process.stdin.on('end', async () => {
  const { sent, answered, lost, resent, bodies } = await load.stop();
  process.stdout.write(
    `${JSON.stringify({ sent, answered, lost, resent, bodies: [...bodies] })}\n`,
  );
});
