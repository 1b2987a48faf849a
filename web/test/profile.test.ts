import { describe, expect, it } from 'vitest';
import { choosesGcm, inProfile, takeChoice } from '../src/p2p/profile';

const good = {
  dtlsState: 'connected',
  dtlsCipher: 'TLS_AES_128_GCM_SHA256',
  srtpCipher: 'SRTP_AEAD_AES_128_GCM',
  tlsVersion: 'FEFC',
};

describe('what two browsers chose', () => {
  it('is judged once there is something to judge', () => {
    expect(inProfile({})).toBeUndefined();
    expect(inProfile({ ...good, dtlsState: 'connecting' })).toBeUndefined();
    expect(inProfile(good)).toBe(true);
  });

  it.each([
    { srtpCipher: 'SRTP_AEAD_AES_256_GCM' },
    { srtpCipher: 'AEAD_AES_128_GCM' },
    { dtlsCipher: 'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384', tlsVersion: 'fefd' },
    { tlsGroup: 'P-256' },
    { tlsGroup: 'secp384r1' },
    { tlsVersion: undefined },
  ])('may be %o', (part) => expect(inProfile({ ...good, ...part })).toBe(true));

  it.each([
    { srtpCipher: 'SRTP_AES128_CM_HMAC_SHA1_80' },
    { srtpCipher: undefined },
    { dtlsCipher: 'TLS_CHACHA20_POLY1305_SHA256' },
    { dtlsCipher: 'TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA' },
    { dtlsCipher: 'TLS_RSA_WITH_AES_128_GCM_SHA256' },
    { dtlsCipher: undefined },
    { tlsVersion: 'FEFF' },
    { tlsGroup: 'X25519' },
    { tlsGroup: 'X25519MLKEM768' },
  ])('may not be %o', (part) => expect(inProfile({ ...good, ...part })).toBe(false));
});

describe('the choice of SRTP', () => {
  it('is good with Gecko', () => {
    expect(choosesGcm('Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0')).toBe(true);
    expect(choosesGcm('Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36')).toBe(false);
    // Firefox of iOS is WebKit.
    expect(choosesGcm('Mozilla/5.0 (iPhone) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/150.0 Mobile/15E148 Safari/604.1')).toBe(false);
  });

  it('is taken from an offer that leaves it open', () => {
    expect(takeChoice('m=audio\r\na=setup:actpass\r\n')).toBe('m=audio\r\na=setup:active\r\n');
    expect(takeChoice('m=audio\r\na=setup:passive\r\n')).toBe('m=audio\r\na=setup:passive\r\n');
  });
});
