import protobuf from 'protobufjs/minimal.js';

// 64-bit numbers are plain numbers: no field needs more than 53 bits. `--force-number` alone changes
// only the declarations; this must run before the first decode.
// biome-ignore lint/suspicious/noExplicitAny: protobufjs declares Long as always there.
(protobuf.util as any).Long = null;
protobuf.configure();
// An older release hands on what a newer one wrote.
// biome-ignore lint/suspicious/noExplicitAny: newer than protobufjs' own declarations.
(protobuf.Reader as any).discardUnknown = false;

/** A part of a message as a caller may give it: nested messages and lists may be plain and partial. */
export type Init<T> = T extends Uint8Array
  ? T
  : T extends readonly (infer E)[]
    ? readonly Init<E>[]
    : T extends object
      ? { readonly [K in keyof T]?: Init<T[K]> | null | undefined }
      : T;

/**
 * Encodes and decodes one message type. Messages are immutable values; absent scalars read as their
 * proto3 default through the prototype, so **never spread a message**: `with` makes a changed copy
 * and keeps fields that a newer release wrote.
 */
export interface Codec<T> {
  readonly typeName: string;
  create(init?: Init<T>): T;
  with(value: T, patch: { readonly [K in keyof T]?: T[K] }): T;
  encode(value: T): Uint8Array;
  decode(bytes: Uint8Array): T;
  /** For people and scripts only (`--format json`): defaults filled in, enums by name. */
  toJson(value: T): unknown;
}

export interface Method<Req, Res, Up extends boolean, Down extends boolean> {
  readonly path: string;
  readonly requestStream: Up;
  readonly responseStream: Down;
  readonly request: Codec<Req>;
  readonly response: Codec<Res>;
}
export type AnyMethod = Method<unknown, unknown, boolean, boolean>;

// biome-ignore lint/suspicious/noExplicitAny: the static classes have no declarations of their own.
type StaticClass = any;

export function codec<T>(cls: StaticClass, typeName: string): Codec<T> {
  return {
    typeName,
    create: (init) => cls.fromObject(init ?? {}) as T,
    with(value, patch) {
      const copy = new cls(value);
      const unknowns = (value as StaticClass).$unknowns;
      if (unknowns !== undefined) protobufMakeProp(copy, unknowns);
      return Object.assign(copy, patch) as T;
    },
    encode: (value) => cls.encode(value).finish() as Uint8Array,
    decode: (bytes) => cls.decode(bytes) as T,
    toJson: (value) => cls.toObject(value, JSON_OPTIONS),
  };
}

const JSON_OPTIONS = { enums: String, bytes: String, defaults: true, arrays: true, objects: true };

function protobufMakeProp(target: object, unknowns: unknown): void {
  Object.defineProperty(target, '$unknowns', {
    value: unknowns,
    enumerable: false,
    writable: true,
  });
}
