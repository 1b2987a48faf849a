import { describe, expect, it } from 'vitest';
import { keepRoles } from '../src/p2p/role';

const described = (type: RTCSdpType, setup: string) => ({ type, sdp: `v=0\r\na=setup:${setup}\r\na=mid:0\r\n` });
const offer = 'm=audio\r\na=setup:actpass\r\nm=video\r\na=setup:actpass\r\n';
const offered = (role: string) => offer.replaceAll('actpass', role);

describe('the roles of a connection that stands', () => {
  it('are kept, whoever answered first', () => {
    const [mine, theirs] = [described('answer', 'active'), described('offer', 'actpass')];
    expect(keepRoles(offer, mine, theirs)).toBe(offered('passive'));
    expect(keepRoles(offer, theirs, mine)).toBe(offered('active'));
    expect(keepRoles(offer, described('answer', 'passive'), theirs)).toBe(offered('active'));
  });

  it('are open at the beginning', () => {
    expect(keepRoles(offer, null, null)).toBe(offer);
    expect(keepRoles(offer, described('offer', 'actpass'), null)).toBe(offer);
  });

  it('are not changed where the other side says them itself', () => {
    expect(keepRoles(offered('active'), described('answer', 'active'), null)).toBe(offered('active'));
  });
});
