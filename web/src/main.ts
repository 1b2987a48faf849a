import './style.css';
import { parseRoomLink } from './link';
import { noticePage } from './pages/notice';
import { startPage } from './pages/start';
import { createShell } from './ui/shell';

const shell = createShell(document.body);

// A second link pasted into the address bar of an open room changes the fragment alone.
window.addEventListener('hashchange', () => location.reload());

async function open(): Promise<void> {
  const link = parseRoomLink(new URL(location.href));
  if (link) {
    const { openRoom } = await import('./room');
    await openRoom(shell, link);
  } else if (location.pathname === '/') {
    shell.show(startPage());
  } else {
    shell.show(noticePage('notFound.title'));
  }
}

void open();
