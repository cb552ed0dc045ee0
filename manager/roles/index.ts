/** Promotion and demotion: the one part that changes the members of the raft group. */
export type { Action, Facts, Phase, Progress, Step, Wait } from './decide.ts';
export { nextSteps } from './decide.ts';
export type { RolesDeps, RolesRaft } from './roles.ts';
export { Roles } from './roles.ts';
