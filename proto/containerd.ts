/** The only door to the generated code of containerd's API. Loaded where containerd is used alone. */
export type { AnyMethod, Codec, Init, Method } from './codec.ts';
export * from './generated/containerd-messages.ts';
