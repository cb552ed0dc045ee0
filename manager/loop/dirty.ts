/** What has changed since it was last looked at. */
export class Dirty {
  /** Services to be looked at as a whole. */
  readonly services = new Set<string>();
  /** Slots (`slotKey`) to be looked at alone. */
  readonly slots = new Set<string>();
  readonly nodes = new Set<string>();
  /** Tasks that wait for a node may fit now. */
  placement = false;

  get isEmpty(): boolean {
    return (
      !this.placement && this.services.size === 0 && this.slots.size === 0 && this.nodes.size === 0
    );
  }
  add(other: Dirty): void {
    for (const id of other.services) this.services.add(id);
    for (const key of other.slots) this.slots.add(key);
    for (const id of other.nodes) this.nodes.add(id);
    this.placement ||= other.placement;
  }
}
