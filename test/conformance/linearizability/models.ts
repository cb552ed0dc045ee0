import type { Model } from './wgl.ts';

/** What a register of one number is asked. */
export type RegisterInput =
  | { readonly kind: 'read' }
  | { readonly kind: 'write'; readonly value: string }
  | { readonly kind: 'cas'; readonly from: string; readonly to: string };
/** Of a read: what it found. Of a compare-and-set: whether it found what it expected. */
export type RegisterOutput = { readonly value?: string; readonly ok?: boolean };

/** The value of a register that was never written. */
export const NOTHING = 'nil';

/** One register with compare-and-set, as the logs of Jepsen's etcd test have it. */
export const register: Model<string, RegisterInput, RegisterOutput> = {
  initial: NOTHING,
  stateKey: (state) => state,
  isRead: ({ kind }, output) => kind === 'read' || (kind === 'cas' && output?.ok === false),
  partition: () => '',
  step(state, input, output) {
    switch (input.kind) {
      case 'read':
        return output === undefined || output.value === state ? { state } : undefined;
      case 'write':
        return { state: input.value };
      case 'cas': {
        const fits = state === input.from;
        if (output !== undefined && output.ok !== fits) return undefined;
        return { state: fits ? input.to : state };
      }
    }
  },
};

/** What one of many such registers is asked. */
export type KeyedInput = RegisterInput & { readonly key: string };

/** Many registers: each is judged alone. */
export const registers: Model<string, KeyedInput, RegisterOutput> = {
  ...register,
  partition: (input) => input.key,
};

export type KvInput =
  | { readonly kind: 'get'; readonly key: string }
  | { readonly kind: 'put' | 'append'; readonly key: string; readonly value: string };

/** Texts under keys, put or appended to; one that was never put is empty. */
export const keyValue: Model<string, KvInput, string> = {
  initial: '',
  stateKey: (state) => state,
  isRead: ({ kind }) => kind === 'get',
  partition: (input) => input.key,
  step(state, input, output) {
    switch (input.kind) {
      case 'get':
        return output === undefined || output === state ? { state } : undefined;
      case 'put':
        return { state: input.value };
      case 'append':
        return { state: state + input.value };
    }
  },
};
