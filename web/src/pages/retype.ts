import { dropStay, renewStay } from '../desk/stay';
import type { Visit } from '../desk/visit';
import { openDialog } from '../ui/dialog';
import { h } from '../ui/dom';
import { tanForm } from './tan';

/**
 * Asks for the TAN once more when the practice's browser could not recognise it: its first half let in, so it is the second that
 * is wrong, in a way that the check character does not notice.
 */
export function offerRetype(visit: Visit, tenant: string, admit: string): () => void {
  let open: HTMLDialogElement | undefined;
  const look = (): void => {
    if (!visit.wrongTan || open) return;
    const form = tanForm('tan.again', async (tan) => {
      if (tan.admit !== admit) {
        // Another letter's, or all of it was wrong: from the start.
        dropStay(tenant);
        location.reload();
        return;
      }
      renewStay(tenant, tan);
      visit.retry(tan);
      open?.close();
    });
    open = openDialog('tan.wrongTitle', h('p', { t: 'tan.wrong', 'data-testid': 'wrong-tan' }), form.el);
    open.addEventListener('close', () => (open = undefined));
    form.input.focus();
  };
  const stop = visit.onChange(look);
  return () => {
    stop();
    open?.close();
  };
}
