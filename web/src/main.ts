import './style.css';
import { fetchLegal } from './legal';
import { parseRoomLink, parseTanAddress } from './link';
import { noticePage } from './pages/notice';
import { startPage } from './pages/start';
import { legalLinks } from './ui/consent';
import { createShell } from './ui/shell';

const shell = createShell(document.body);

// A second link pasted into the address bar of an open room changes the fragment alone.
window.addEventListener('hashchange', () => location.reload());

async function open(): Promise<void> {
  const url = new URL(location.href);
  const link = parseRoomLink(url);
  const tenant = parseTanAddress(url);
  const legal = await fetchLegal();
  shell.legal(legalLinks(legal));
  if (link) {
    const { openRoom } = await import('./room');
    await openRoom(shell, link, legal);
  } else if (tenant !== undefined) {
    const { openByTan } = await import('./room');
    await openByTan(shell, tenant, legal);
  } else if (location.pathname === '/') {
    shell.show(startPage());
  } else {
    shell.show(noticePage('notFound.title'));
  }
}

void open();
