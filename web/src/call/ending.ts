import type { Visit } from '../desk/visit';
import type { EndReason } from './reasons';

/** Why a call ended, which for somebody who was put back is not the end of the stay. */
export type CallEnd = EndReason | 'putBack';

/** How long the desk may take to say why the server ended the media. */
const WORD_MS = 1500;
/** Ends that say little, or too much, without the desk's word. */
const VAGUE: EndReason[] = ['removed', 'closed', 'refused', 'lost', 'unreachable'];

/** Ends with the media, or when the desk says so; where both speak the desk is right. */
export async function endOfCall(media: Promise<EndReason>, visit: Visit): Promise<CallEnd> {
  const word = deskWord(visit);
  const first = await Promise.race([media, word]);
  if (first === 'left') visit.leave();
  if (first === 'putBack' || !VAGUE.includes(first)) return first;
  return Promise.race([word, new Promise<EndReason>((resolve) => setTimeout(() => resolve(first), WORD_MS))]);
}

function deskWord(visit: Visit): Promise<CallEnd> {
  const putBack = new Promise<'putBack'>((resolve) => {
    const look = (): void => {
      if (visit.standing?.state !== 'waiting') return;
      stop();
      resolve('putBack');
    };
    const stop = visit.onChange(look);
    look();
  });
  return Promise.race([putBack, visit.ended]);
}
