/** What has changed since it was last looked at. */
export class Dirty {
  /** Services to be looked at as a whole. */
  readonly services = new Set<string>();
  /** Slots (`slotKey`) to be looked at alone. */
  readonly slots = new Set<string>();
  readonly nodes = new Set<string>();
  readonly networks = new Set<string>();
  /** What nodes say of their devices and routes has changed: every network may depend on it. */
  underlay = false;
  /** All tasks that wait for a node may fit now. */
  placement = false;
  /** Groups of waiting tasks (`groupKey`) that were not come to. */
  readonly groups = new Set<string>();

  get isEmpty(): boolean {
    if (this.placement || this.underlay || this.groups.size > 0) return false;
    if (this.networks.size > 0) return false;
    return this.services.size === 0 && this.slots.size === 0 && this.nodes.size === 0;
  }
  add(other: Dirty): void {
    for (const id of other.services) this.services.add(id);
    for (const key of other.slots) this.slots.add(key);
    for (const id of other.nodes) this.nodes.add(id);
    for (const key of other.groups) this.groups.add(key);
    for (const id of other.networks) this.networks.add(id);
    this.placement ||= other.placement;
    this.underlay ||= other.underlay;
  }
}
