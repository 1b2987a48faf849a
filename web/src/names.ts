const MAX_NAME = 64;

/** One line, no control or direction-changing characters, at most 64 characters. */
export function cleanName(raw: string): string {
  const line = raw
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, ' ')
    .replace(/\s+/gu, ' ')
    .trim();
  return [...line].slice(0, MAX_NAME).join('').trim();
}

export function encodeName(name: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify({ name }));
}

export function decodeName(payload: Uint8Array): string | undefined {
  try {
    const message: unknown = JSON.parse(new TextDecoder().decode(payload));
    const name = (message as { name?: unknown } | null)?.name;
    return typeof name === 'string' ? cleanName(name) || undefined : undefined;
  } catch {
    return undefined;
  }
}
