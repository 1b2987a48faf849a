import { type Tan, formatTan, parseTan } from '../keys/tan';

/**
 * What lets a patient who came by TAN come back after a reload, or after the browser discarded the tab, as tablets do: the
 * server's resume secret (the TAN itself is spent) and the TAN, whose secret half the server never had and cannot give back. It
 * stands in the storage of this browser alone, is sent nowhere, and goes when the room ends.
 */
export interface Stay {
  resume: string;
  tan: Tan;
  /** Seconds since 1970 after which it is good for nothing. */
  until: number;
}

type Store = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;

export function keepStay(tenant: string, { resume, tan, until }: Stay, store: Store = localStorage): void {
  try {
    store.setItem(slot(tenant), JSON.stringify({ resume, tan: formatTan(tan), until }));
  } catch {
    // A browser that keeps nothing lets in all the same, but not again.
  }
}

export function keptStay(tenant: string, now: number, store: Store = localStorage): Stay | undefined {
  const stay = read(store.getItem(slot(tenant)));
  if (stay && stay.until > now) return stay;
  store.removeItem(slot(tenant));
  return undefined;
}

/** Puts another secret half in its place, which was typed anew. */
export function renewStay(tenant: string, tan: Tan, store: Store = localStorage): void {
  const stay = read(store.getItem(slot(tenant)));
  if (stay) keepStay(tenant, { ...stay, tan }, store);
}

export function dropStay(tenant: string, store: Store = localStorage): void {
  store.removeItem(slot(tenant));
}

function read(text: string | null): Stay | undefined {
  try {
    const { resume, tan, until } = (JSON.parse(text ?? 'null') ?? {}) as Record<string, unknown>;
    const parsed = typeof tan === 'string' ? parseTan(tan) : 'length';
    if (typeof resume !== 'string' || typeof until !== 'number' || typeof parsed === 'string') return undefined;
    return { resume, tan: parsed, until };
  } catch {
    return undefined;
  }
}

function slot(tenant: string): string {
  return `konsil.stay.${tenant}`;
}
