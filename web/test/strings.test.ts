import { describe, expect, it } from 'vitest';
import { type StringKey, pickLang, strings, translate } from '../src/strings';

const keys = Object.keys(strings) as StringKey[];
const places = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(String).sort();

describe('strings', () => {
  it.each(keys)('%s is there in both languages, with the same places to fill', (key) => {
    const { de, en } = strings[key];
    expect(de.trim()).not.toBe('');
    expect(en.trim()).not.toBe('');
    expect(places(de)).toEqual(places(en));
  });

  it('says Sie', () => {
    for (const key of keys) expect(strings[key].de).not.toMatch(/\b(du|dein\w*|dir|dich)\b/i);
  });

  it('fills places', () => {
    expect(translate('de', 'call.guest', { n: 2 })).toBe('Gast 2');
    expect(translate('en', 'call.screenOf', { name: '{n} <b>' })).toBe('Screen of {n} <b>');
  });

  it('picks the first language it knows', () => {
    expect(pickLang(['de-AT', 'en'])).toBe('de');
    expect(pickLang(['fr-FR', 'de'])).toBe('de');
    expect(pickLang(['fr-FR'])).toBe('en');
    expect(pickLang(['den'])).toBe('en');
  });
});
