import { Device } from '../../proto/index.ts';
import { invalid } from './invalid.ts';

/** "/dev/kvm", "/dev/sda:/dev/xvda", "/dev/sda:/dev/xvda:r", "/dev/sda:r". */
export function parseDevice(flag: string, text: string): Device {
  const [host = '', second, third, more] = text.split(':');
  const form = 'HOST[:TARGET[:rwm]]';
  if (host === '' || more !== undefined) throw invalid(flag, text, form);
  const rightsSecond = third === undefined && second !== undefined && !second.startsWith('/');
  const target = rightsSecond ? host : (second ?? host);
  const permissions = (rightsSecond ? second : third) ?? 'rwm';
  const repeats = new Set(permissions).size < permissions.length;
  if (!/^[rwm]{1,3}$/.test(permissions) || repeats) throw invalid(flag, text, form);
  return Device.create({ host, target, permissions });
}
