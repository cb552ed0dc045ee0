/** The release, as every program of it says; package.json has to name the same one. */
export const VERSION = '0.1.0';
