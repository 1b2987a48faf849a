import { bytesToHex, hexToBytes } from '@noble/hashes/utils.js';
import { describe, expect, it } from 'vitest';
import { listed, utf8 } from '../src/keys/bytes';
import { CPace, CPaceError, type Context, generator, generatorString, multiplyChecked, scalarOf, transcript } from '../src/keys/cpace';

const hex = (...lines: string[]) => hexToBytes(lines.join(''));

describe('the published vectors of draft-irtf-cfrg-cpace for CPACE-RISTR255-SHA512', () => {
  const context: Context = {
    password: utf8('Password'),
    channel: listed('A_initiator', 'B_responder'),
    session: hex('7e4b4791d6a8ef019b936c79fb7f2c57'),
  };
  const ya = hex('da3d23700a9e5699258aef94dc060dfda5ebb61f02a5ea77fad53f4ff0976d08');
  const yb = hex('d2316b454718c35362d83d69df6320f38578ed5984651435e2949762d900b80d');
  const Ya = 'd6bac480f2c386c394efc7c47adb9925dcd2630b64f240c50f8d0eec482b9157';
  const Yb = '3ea7e0b19560d7c0b0f5734f63b955286dfa8232b5ebe63324e2d9e7433f7258';
  const K = '80b69a8a76457ab6a4d7f887a4bf6b55a2f80ac19c333f917a05fc9887c8b40f';
  const ISK =
    'b69effbf61b51d56401c0f65601abe428de8206feaaf0e32198896dcae7b35cd' +
    '2b38950a39dfd5d4a79164614c2984f7daa460b588c1e80c3fa2068af7900447';
  const initiator = () => new CPace('initiator', context, utf8('ADa'), scalarOf(ya));
  const responder = () => new CPace('responder', context, utf8('ADb'), scalarOf(yb));

  it('generator', () => {
    expect(bytesToHex(context.channel)).toBe('0b415f696e69746961746f720b425f726573706f6e646572');
    expect(bytesToHex(generatorString(context))).toBe(
      `11435061636552697374726574746f3235350850617373776f726464${'00'.repeat(100)}` +
        '180b415f696e69746961746f720b425f726573706f6e646572107e4b4791d6a8ef019b936c79fb7f2c57',
    );
    expect(bytesToHex(generator(context).toBytes())).toBe('222b6b195fe84b1652badb6f6a3ae3d24341e7306967f0b8115b40d5698c7e56');
  });

  it('shares', () => {
    expect(bytesToHex(initiator().share.element)).toBe(Ya);
    expect(bytesToHex(responder().share.element)).toBe(Yb);
  });

  it('the secret element', () => {
    expect(bytesToHex(multiplyChecked(scalarOf(ya), hex(Yb)))).toBe(K);
    expect(bytesToHex(multiplyChecked(scalarOf(yb), hex(Ya)))).toBe(K);
  });

  it('transcript', () => {
    expect(bytesToHex(transcript(initiator().share, responder().share))).toBe(`20${Ya}0341446120${Yb}03414462`);
  });

  it('key, at both', () => {
    const [a, b] = [initiator(), responder()];
    expect(bytesToHex(a.finish(b.share).key)).toBe(ISK);
    expect(bytesToHex(b.finish(a.share).key)).toBe(ISK);
  });

  const s = scalarOf(hex('7cd0e075fa7955ba52c02759a6c90dbbfc10e6d40aea8d283e407d88cf538a05'));

  it('multiplication', () => {
    const X = hex('2c3c6b8c4f3800e7aef6864025b4ed79bd599117e427c41bd47d93d654b4a51c');
    expect(bytesToHex(multiplyChecked(s, X))).toBe('7c13645fe790a468f62c39beb7388e541d8405d1ade69d1778c5fe3e7f6b600e');
  });

  it.each([
    ['no element', '2b3c6b8c4f3800e7aef6864025b4ed79bd599117e427c41bd47d93d654b4a51c'],
    ['the neutral one', '00'.repeat(32)],
    ['one cut short', 'd6bac480'],
  ])('refuses %s', (_, element) => {
    expect(() => multiplyChecked(s, hex(element))).toThrow(CPaceError);
    expect(() => initiator().finish({ element: hex(element), data: utf8('ADb') })).toThrow(CPaceError);
  });
});

describe('an exchange', () => {
  const context = (password: string, channel = 'room', session = 'once'): Context => ({
    password: utf8(password),
    channel: utf8(channel),
    session: utf8(session),
  });
  const run = (a: Context, b: Context, seen = { a: 'a', b: 'b' }) => {
    const one = new CPace('initiator', a, utf8('a'));
    const two = new CPace('responder', b, utf8('b'));
    return [
      one.finish({ ...two.share, data: utf8(seen.b) }),
      two.finish({ ...one.share, data: utf8(seen.a) }),
    ] as const;
  };
  const agree = ([one, two]: ReturnType<typeof run>) => one.confirms(two.tag) && two.confirms(one.tag);

  it('confirms the same password, with a fresh key each time', () => {
    const first = run(context('XC4TB'), context('XC4TB'));
    const second = run(context('XC4TB'), context('XC4TB'));
    expect(agree(first) && agree(second)).toBe(true);
    expect(first[0].key).toEqual(first[1].key);
    expect(first[0].key).not.toEqual(second[0].key);
  });

  it.each([
    ['another password', run(context('XC4TB'), context('XC4TC'))],
    ['another channel', run(context('x', 'room'), context('x', 'other'))],
    ['another session', run(context('x', 'room', '1'), context('x', 'room', '2'))],
    ['data changed on the way', run(context('x'), context('x'), { a: 'a', b: 'm' })],
  ])('confirms neither side with %s', (_, [one, two]) => {
    expect(one.confirms(two.tag)).toBe(false);
    expect(two.confirms(one.tag)).toBe(false);
    expect(one.key).not.toEqual(two.key);
  });

  it("takes nobody's own tag back", () => {
    const [one, two] = run(context('x'), context('x'));
    expect(one.confirms(one.tag)).toBe(false);
    expect(two.confirms(two.tag)).toBe(false);
    expect(one.confirms(two.tag.subarray(1))).toBe(false);
  });
});
