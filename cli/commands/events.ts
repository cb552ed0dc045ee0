import { ControlService, EventItem, EventsRequest } from '../../proto/index.ts';
import type { Verb } from '../command.ts';
import { jsonView } from '../output/json-view.ts';
import { printable } from '../output/printable.ts';
import { isoLocal } from '../output/relative-time.ts';
import { Template } from '../output/template.ts';
import { parseFilters } from '../parse/filter.ts';
import { collect } from '../spec/declare-options.ts';
import { INTERRUPTED } from '../wait.ts';

const FILTERS = ['type', 'event', 'id', 'name', 'service', 'node', 'network', 'task'];
/** As the fields of an event are called. */
const FIELDS = ['kind', 'action'];

export const events: Verb = {
  declare(command) {
    command
      .option('-f, --filter <KEY=VALUE>', `Only these: ${FILTERS.join(', ')}`, collect)
      .option('--cursor <CURSOR>', 'Go on after this event (json shows cursors)')
      .option('--no-follow', 'Only what is there')
      .option('--format <FORMAT>', 'json (an object a line) or a template such as {{.Event.Kind}}');
  },
  async run(context, _words, flags) {
    const request = EventsRequest.create({
      cursor: flags.text('cursor') ?? '',
      follow: !flags.is('no-follow'),
      filters: parseFilters(flags.list('filter'), [...FILTERS, ...FIELDS]),
    });
    const show = formatterOf(flags.text('format'));
    const session = await context.connect();
    const interrupted = context.io.onInterrupt();
    try {
      for await (const item of session.stream(ControlService.events, request, interrupted))
        context.io.out(`${show(item)}\n`);
    } catch (error) {
      if (!interrupted.aborted) throw error;
      return INTERRUPTED;
    }
    return 0;
  },
};

function formatterOf(format: string | undefined): (item: EventItem) => string {
  if (format === undefined) return eventLine;
  const view = (item: EventItem): unknown => jsonView(EventItem.toJson(item));
  if (format === 'json') return (item) => JSON.stringify(view(item));
  const template = new Template(format);
  return (item) => template.render(view(item));
}

function eventLine(item: EventItem): string {
  const event = item.event!;
  const attributes = Object.entries(event.attributes).map(([key, value]) => `${key}=${value}`);
  const named = event.name === '' ? event.id : `${event.name} (${event.id})`;
  const message = event.message === '' ? '' : ` ${event.message}`;
  const more = attributes.length === 0 ? '' : ` [${attributes.join(', ')}]`;
  const text = `${event.kind} ${event.action} ${named}${message}${more}`;
  return `${isoLocal(event.atWallMs)} ${printable(text)}`;
}
