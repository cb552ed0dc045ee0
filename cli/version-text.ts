/** The release of this program; `test` compares it with the daemon's and package.json's. */
export const VERSION = '0.1.0';
