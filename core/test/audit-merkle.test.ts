import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  consistencyProof,
  inclusionProof,
  leafHash,
  merkleRoot,
  nodeHash,
  RightEdge,
  verifyConsistency,
  verifyInclusion,
} from '@careflex/core/audit/merkle';

const bytes = (hex: string) => Buffer.from(hex, 'hex');
const hexOf = (buffers: readonly Buffer[]) => buffers.map((buffer) => buffer.toString('hex'));

// The reference vectors of Certificate Transparency: eight leaves, the root over the first n of them, and proofs.
const DATA = ['', '00', '10', '2021', '3031', '40414243', '5051525354555657', '606162636465666768696a6b6c6d6e6f'];
const LEAVES = DATA.map((data) => leafHash(bytes(data)));
const ROOTS = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];
const A = '96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7';
const B = '5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e';
const C = '6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4';
const D = 'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b';
const E = 'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0';
const F = '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a';

describe('merkleRoot', () => {
  test('agrees with the reference for every size', () => {
    assert.deepEqual(hexOf(ROOTS.map((_, size) => merkleRoot(LEAVES.slice(0, size)))), ROOTS);
  });

  test('keeps leaves and nodes apart', () => {
    const [left, right] = [LEAVES[0] as Buffer, LEAVES[1] as Buffer];
    assert.notDeepEqual(leafHash(Buffer.concat([left, right])), nodeHash(left, right));
  });
});

describe('inclusionProof', () => {
  test('agrees with the reference', () => {
    const proof = (index: number, size: number) => hexOf(inclusionProof(LEAVES.slice(0, size), index));
    assert.deepEqual(proof(0, 1), []);
    assert.deepEqual(proof(0, 8), [A, B, C]);
    assert.deepEqual(proof(5, 8), [D, E, ROOTS[4]]);
    assert.deepEqual(proof(2, 3), [ROOTS[2]]);
    assert.deepEqual(proof(1, 5), [ROOTS[1], B, D]);
  });

  test('knows no leaf outside the tree', () => {
    for (const index of [-1, 8, 0.5]) assert.throws(() => inclusionProof(LEAVES, index), RangeError);
  });
});

describe('consistencyProof', () => {
  test('agrees with the reference', () => {
    const proof = (oldSize: number, size: number) => hexOf(consistencyProof(LEAVES.slice(0, size), oldSize));
    assert.deepEqual(proof(1, 1), []);
    assert.deepEqual(proof(1, 8), [A, B, C]);
    assert.deepEqual(proof(6, 8), [F, E, ROOTS[4]]);
    assert.deepEqual(proof(2, 5), [B, D]);
  });
});

const tree = (size: number, salt = '') => Array.from({ length: size }, (_, i) => leafHash(Buffer.from(`${salt}${i}`)));

/** A change to a proof that no verifier may let pass. */
const damaged = (proof: readonly Buffer[]) => [
  [...proof, Buffer.alloc(32)],
  proof.slice(0, -1),
  proof.toReversed(),
  proof.with(0, Buffer.alloc(32)),
];

describe('verifyInclusion', () => {
  test('accepts every leaf of every small tree, at its own place and with its own proof alone', () => {
    for (let size = 1; size <= 33; size++) {
      const leaves = tree(size);
      const root = merkleRoot(leaves);
      leaves.forEach((leaf, index) => {
        const proof = inclusionProof(leaves, index);
        const claim = { leafHash: leaf, index, size, proof, root };
        assert.ok(verifyInclusion(claim));
        for (const other of [-1, index - 1, index + 1, size, 0.5]) {
          assert.ok(!verifyInclusion({ ...claim, index: other }), `${index} of ${size} at ${other}`);
        }
        assert.ok(!verifyInclusion({ ...claim, leafHash: leafHash(leaf) }));
        assert.ok(!verifyInclusion({ ...claim, root: leafHash(root) }));
        if (proof.length > 1) for (const bad of damaged(proof)) assert.ok(!verifyInclusion({ ...claim, proof: bad }));
      });
    }
  });
});

describe('verifyConsistency', () => {
  test('accepts every beginning of every small tree, and no other', () => {
    for (let newSize = 1; newSize <= 33; newSize++) {
      const leaves = tree(newSize);
      for (let oldSize = 0; oldSize <= newSize; oldSize++) {
        const proof = consistencyProof(leaves, oldSize);
        const oldRoot = merkleRoot(leaves.slice(0, oldSize));
        const claim = { oldSize, newSize, oldRoot, newRoot: merkleRoot(leaves), proof };
        assert.ok(verifyConsistency(claim), `${oldSize} in ${newSize}`);
        assert.ok(!verifyConsistency({ ...claim, oldRoot: leafHash(oldRoot) }));
        assert.ok(!verifyConsistency({ ...claim, oldSize: newSize + 1 }));
        if (oldSize > 0) assert.ok(!verifyConsistency({ ...claim, newRoot: leafHash(oldRoot) }));
        if (proof.length > 1) for (const bad of damaged(proof)) assert.ok(!verifyConsistency({ ...claim, proof: bad }));
      }
    }
  });

  test('refuses a new tree in which an old leaf was exchanged', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 64 }), fc.nat(64), fc.nat(63), (oldSize, more, at) => {
        const old = tree(oldSize);
        const changed = tree(oldSize + more).with(at % oldSize, leafHash(Buffer.from('forged')));
        const proof = consistencyProof(changed, oldSize);
        const claim = { oldSize, newSize: oldSize + more, oldRoot: merkleRoot(old), newRoot: merkleRoot(changed) };
        assert.ok(!verifyConsistency({ ...claim, proof }));
      }),
    );
  });
});

describe('RightEdge', () => {
  test('grows on from the roots of complete subtrees as from the leaves, and tells of each node once', () => {
    const leaves = tree(200);
    for (let start = 0; start <= 40; start++) {
      const nodes: string[] = [];
      const roots: Buffer[] = [];
      for (let size = start, from = 0; size > 0;) {
        const power = 2 ** Math.floor(Math.log2(size));
        roots.push(merkleRoot(leaves.slice(from, from + power)));
        [from, size] = [from + power, size - power];
      }
      const edge = new RightEdge(start, roots, (level, index, hash) => {
        nodes.push(`${level}/${index}`);
        const [from, to] = [index * 2 ** level, (index + 1) * 2 ** level];
        assert.deepEqual(hash, merkleRoot(leaves.slice(from, to)));
      });
      for (const leaf of leaves.slice(start)) edge.append(leaf);
      assert.deepEqual(edge.root(), merkleRoot(leaves));
      assert.equal(new Set(nodes).size, nodes.length);
    }
  });
});
