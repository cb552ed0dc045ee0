/** The only door to the generated code: messages, enums, codecs and service definitions. */
export type { AnyMethod, Codec, Init, Method } from './codec.ts';
export * from './generated/messages.ts';
