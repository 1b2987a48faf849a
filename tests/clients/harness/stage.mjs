// One server and one browser for all tests of a file.

import { after, before } from 'node:test';
import { Plain } from './plain.mjs';
import { Server } from './server.mjs';

/** Declares start and stop around the file's tests; the fields are there once they run. */
export function stage(options) {
  const it = { people: [] };
  before(async () => {
    it.server = await Server.start(options);
    it.plain = await Plain.start(it.server);
  });
  after(async () => {
    await it.plain?.stop();
    await it.server?.stop();
  });
  /** A test whose people leave at its end, however it ends. */
  it.scene = (act) => async () => {
    const here = [];
    const join = async (room, identity, how) => {
      const person = await it.plain.join(room, identity, how);
      here.push(person);
      return person;
    };
    const open = async (identity) => {
      const person = await it.plain.open(identity);
      here.push(person);
      return person;
    };
    try {
      await act({ join, open, server: it.server });
    } finally {
      await Promise.all(here.map((person) => person.close()));
    }
  };
  return it;
}
