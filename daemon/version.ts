/** The release, as `swarm version` and node descriptions show it. */
export const VERSION = '0.1.0';
