/** One link of a container: what is set up inside its namespace, at the other end of `device`. */
export interface TaskLink {
  readonly device: string;
  readonly namespace: string;
  /** Its name in there. */
  readonly name: string;
  readonly mac: string;
  /** 0: as the kernel makes it. */
  readonly mtu: number;
  /** With their networks' lengths, which route nothing. */
  readonly addresses: readonly string[];
  readonly gateway: string;
  readonly hasDefault: boolean;
  /** What goes through this link although another has the default route. */
  readonly prefixes: readonly string[];
  /** Names are asked for through it. */
  readonly names: boolean;
}
