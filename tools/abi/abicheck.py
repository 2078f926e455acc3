#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares what include/wdk declares with the Windows x64 interface in tests/abi/windows-x64.json.

The names come from clang's own view of the headers (AST dump, macro dump, record layouts), not from
the generator. Sizes, offsets and values are computed by clang for ELF and for Windows and compared
here, so that a difference is reported with what was expected and what was found. A declared name
that the JSON does not know is an error unless tests/abi/allowed.txt says why it may exist.

    tools/abi/abicheck.py [build directory]
    tools/abi/abicheck.py --reduce FULL.json    rewrite tests/abi/windows-x64.json
"""
import collections
import concurrent.futures
import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WDK = os.path.join(ROOT, 'include', 'wdk')
DATA = os.path.join(ROOT, 'tests', 'abi', 'windows-x64.json')
ALLOWED = os.path.join(ROOT, 'tests', 'abi', 'allowed.txt')
CLANG = os.environ.get('CLANG', 'clang')
COMMON = ['-std=gnu11', '-fms-extensions', '-I' + WDK, '-w', '-ferror-limit=0']
TARGETS = {
    'elf': ['-fshort-wchar'],
    'windows': ['--target=x86_64-pc-windows-msvc', '-ffreestanding', '-nostdlibinc'],
}


def run(args, check=True):
    p = subprocess.run([CLANG] + COMMON + args, capture_output=True, text=True)
    if check and p.returncode:
        sys.exit('abi: clang failed: ' + ' '.join(args) + '\n' + p.stderr[:4000])
    return p.stdout, p.stderr


class Leaf(collections.namedtuple('Leaf', 'name path bits flexible')):
    pass


class Declared:
    """What the headers declare, by kind."""

    def __init__(self, source):
        out, _ = run(TARGETS['elf'] + ['-fsyntax-only', '-Xclang', '-ast-dump=json', source])
        self.records, self.enums, self.typedefs, self.functions = {}, {}, {}, {}
        inner = json.loads(out)['inner']
        names = {}
        for node in inner:
            if node['kind'] == 'TypedefDecl':
                for tag in self.owned(node):
                    names.setdefault(tag, node['name'])
        for node in inner:
            if node.get('isImplicit'):
                continue
            kind, name = node['kind'], node.get('name') or names.get(node['id'])
            if kind == 'RecordDecl' and node.get('completeDefinition') and name:
                spell = f"{node['tagUsed']} {node['name']}" if node.get('name') else name
                self.records[name] = (spell, node['tagUsed'], list(self.leaves(node, '')))
            elif kind == 'EnumDecl' and node.get('inner'):
                members = [n['name'] for n in node['inner'] if n['kind'] == 'EnumConstantDecl']
                self.enums[name or '(unnamed) ' + members[0]] = members
            elif kind == 'TypedefDecl':
                self.typedefs[name] = node['type']
            elif kind == 'FunctionDecl' and name not in self.functions:
                params = [n for n in node.get('inner', []) if n['kind'] == 'ParmVarDecl']
                self.functions[name] = {
                    'type': node['type']['qualType'], 'args': len(params),
                    'types': [p['type']['qualType'] for p in params],
                    'variadic': node.get('variadic', False),
                    'inline': node.get('storageClass') == 'static'}

    def owned(self, node):
        for n in node.get('inner', []):
            if 'ownedTagDecl' in n:
                yield n['ownedTagDecl']['id']
            if 'decl' in n and n['decl'].get('kind') in ('RecordDecl', 'EnumDecl'):
                yield n['decl']['id']
            yield from self.owned(n)

    def leaves(self, record, prefix):
        nested = None
        for n in record.get('inner', []):
            if n['kind'] == 'RecordDecl':
                nested = n
            elif n['kind'] == 'FieldDecl':
                text = n['type']['qualType']
                name = n.get('name')
                unnamed = '(unnamed' in text or '(anonymous' in text
                if unnamed and nested is not None:
                    yield from self.leaves(nested, prefix + (name + '.' if name else ''))
                elif name:
                    bits = None
                    if n.get('isBitfield'):
                        bits = int(n['inner'][0].get('value', -1))
                    yield Leaf(name, prefix + name, bits, text.endswith('[]'))


def macros(source):
    """Object-like macros that the headers define, with the header's path."""
    out, _ = run(TARGETS['elf'] + ['-E', '-dD', source])
    found, current = {}, ''
    for line in out.split('\n'):
        m = re.match(r'# \d+ "([^"]+)"', line)
        if m:
            current = m.group(1)
            continue
        m = re.match(r'#define (\w+)(\s.*)?$', line)
        if m and current.startswith(WDK):
            found[m.group(1)] = os.path.relpath(current, WDK)
    return found


def integer_macros(names, source, build):
    """Those of `names` that are integer constant expressions."""
    path = os.path.join(build, 'abi_macros.c')
    with open(path, 'w', encoding='utf-8') as f:
        f.write(f'#include "{source}"\n')
        for i, name in enumerate(names):
            f.write(f'enum {{ umn_abi_{i} = !!({name}) }};\n')
    _, err = run(TARGETS['elf'] + ['-fsyntax-only', path], check=False)
    bad = {int(m) for m in re.findall(r'abi_macros\.c:(\d+):\d+: error', err)}
    return {n for i, n in enumerate(names) if i + 2 not in bad}


def probe(target, exprs, source, build):
    """Values of constant expressions, as clang computes them for a target."""
    path = os.path.join(build, f'abi_probe_{target}.c')
    with open(path, 'w', encoding='utf-8') as f:
        f.write(f'#include "{source}"\nconst long long umn_abi_values[] = {{\n')
        f.write(',\n'.join(f'(long long)({e})' for e in exprs))
        f.write('\n};\n')
    out, _ = run(TARGETS[target] + ['-S', '-emit-llvm', '-o', '-', path])
    m = re.search(r'@umn_abi_values = .*?\[(.*?)\], align', out)
    if not m:
        sys.exit('abi: no values in the output of clang')
    return [int(v) for v in re.findall(r'i64 (-?\d+)', m.group(1)[m.group(1).index('['):])]


def bit_positions(target, source):
    """Positions of bit-fields: {record spelling: {path: [(bit, width)]}}."""
    out, _ = run(TARGETS[target] + ['-fsyntax-only', '-Xclang', '-fdump-record-layouts-complete',
                                    source])
    found = {}
    for block in out.split('*** Dumping AST Record Layout')[1:]:
        lines = [l for l in block.split('\n') if re.match(r'\s*[\d:\-]+ \|', l)]
        if not lines:
            continue
        head = lines[0].split('|', 1)[1].strip()
        stack, paths = [], {}
        for line in lines[1:]:
            pos, text = line.split('|', 1)
            depth = (len(text) - len(text.lstrip()) - 1) // 2
            stack = stack[:depth - 1]
            name = '' if text.rstrip().endswith(')') else text.split()[-1]
            stack.append(name)
            m = re.match(r'\s*(\d+):(?:(\d+)-(\d+)|-)', pos)
            if m and m.group(2):
                path = '.'.join(s for s in stack if s)
                first = int(m.group(1)) * 8 + int(m.group(2))
                paths.setdefault(path, (first, int(m.group(3)) - int(m.group(2)) + 1))
        found[re.sub(r'^(struct|union) ', '', head)] = paths
    return found


def pair(ours, theirs):
    """Pairs members by name; equal names in order of declaration."""
    queue = collections.defaultdict(list)
    for leaf in ours:
        queue[leaf.name].append(leaf)
    pairs, missing = [], []
    for field in theirs:
        if queue[field['name']]:
            pairs.append((queue[field['name']].pop(0), field))
        else:
            missing.append(field['name'])
    extra = [l.path for rest in queue.values() for l in rest]
    return pairs, missing, extra


class Check:
    def __init__(self, build):
        self.build = build
        os.makedirs(build, exist_ok=True)
        self.source = os.path.join(build, 'abi_all.c')
        headers = []
        for d, _, files in os.walk(WDK):
            headers += [os.path.relpath(os.path.join(d, f), WDK) for f in files if f[-2:] == '.h']
        headers = sorted(h for h in headers if h not in ('nt/push.h', 'nt/pop.h'))
        with open(self.source, 'w', encoding='utf-8') as f:
            f.write('#define NDIS687_MINIPORT 1\n#define NDIS687 1\n')
            f.write(''.join(f'#include <{h}>\n' for h in headers))
        with concurrent.futures.ThreadPoolExecutor() as pool:
            a = pool.submit(Declared, self.source)
            b = pool.submit(macros, self.source)
            self.declared, self.macros = a.result(), b.result()
        self.differ = []
        self.allowed = self.read_allowed()
        self.used = set()

    @staticmethod
    def read_allowed():
        rules = []
        with open(ALLOWED, encoding='utf-8') as f:
            for line in f:
                line = line.split('#', 1)[0].split()
                if line:
                    rules.append((line[0], re.compile(line[1] + r'\Z')))
        return rules

    def may(self, kind, name):
        return any(k == kind and r.match(name) for k, r in self.allowed)

    def wrong(self, header, name, expected, found, target=''):
        where = f' ({target})' if target else ''
        self.differ.append(f'{header}: {name}{where}: expected {expected}, found {found}')

    def unknown(self, kind, name, where='?'):
        if not self.may(kind, name):
            self.wrong(where, f'{kind} {name}', 'a name of the Windows interface',
                       'one that it does not have')

    def compare(self, data):
        d = self.declared
        exprs, expect = [], []          # what clang is to compute, and what the JSON says
        n_fields = 0

        def ask(header, name, expr, value):
            exprs.append(expr)
            expect.append((header, name, value))

        bits_wanted = []
        n_records = 0
        for name, (spell, kind, leaves) in sorted(d.records.items()):
            rec = data['records'].get(name)
            if rec is None:
                size = data['typedefs'].get(name, {}).get('size', -1)
                if size > 0:
                    ask(data['typedefs'][name]['header'], name + ' size', f'sizeof({spell})', size)
                    n_records += 1
                else:
                    self.unknown('record', name)
                continue
            n_records += 1
            header = rec['header']
            if rec['kind'] != kind:
                self.wrong(header, name, rec['kind'], kind)
            ask(header, name + ' size', f'sizeof({spell})', rec['size'])
            ask(header, name + ' alignment', f'_Alignof({spell})', rec['align'])
            pairs, missing, extra = pair(leaves, rec['fields'])
            for m in missing:
                self.wrong(header, f'{name}.{m}', 'a member', 'none')
            for e in extra:
                self.wrong(header, f'{name}.{e}', 'no member', 'one')
            n_fields += len(pairs)
            for leaf, field in pairs:
                label = f'{name}.{leaf.path}'
                if ('bits' in field) != (leaf.bits is not None):
                    self.wrong(header, label, 'bit-field' if 'bits' in field else 'no bit-field',
                               'the opposite')
                elif 'bits' in field:
                    bits_wanted.append((header, spell, leaf.path, label, field))
                else:
                    ask(header, label + ' offset', f'__builtin_offsetof({spell}, {leaf.path})',
                        field['offset'])
                    if not leaf.flexible:
                        ask(header, label + ' size', f'sizeof((({spell} *)0)->{leaf.path})',
                            field['size'])
        n_enumerators = self.enumerators(data, ask)
        n_constants = self.constants(data, ask)
        n_functions = self.functions(data)
        n_typedefs = self.typedefs(data, ask)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            values = {t: pool.submit(probe, t, exprs, self.source, self.build) for t in TARGETS}
            bits = {t: pool.submit(bit_positions, t, self.source) for t in TARGETS}
        for target in TARGETS:
            found = values[target].result()
            if len(found) != len(expect):
                sys.exit(f'abi: {len(expect)} values asked, {len(found)} computed')
            for (header, label, value), got in zip(expect, found):
                if (value - got) % (1 << 64):
                    self.wrong(header, label, value, got, target)
            layouts = bits[target].result()
            for header, spell, path, label, field in bits_wanted:
                got = layouts.get(spell.split()[-1], {}).get(path)
                want = (field['bit_offset'], field['bits'])
                if got != want:
                    self.wrong(header, label + ' bits (first, count)', want, got, target)
        print(f'abi: {n_records} records, {n_fields} fields, {n_enumerators} enumerators, '
              f'{n_constants} constants, {n_functions} functions, {n_typedefs} typedefs compared, '
              f'{len(self.differ)} differ')

    def enumerators(self, data, ask):
        every = {}
        for members in data['enums'].values():
            every.update(members)
        count = 0
        for tag, members in sorted(self.declared.enums.items()):
            known = data['enums'].get(tag)
            if known is not None:
                for m in sorted(set(known) - set(members) - set(self.macros)):
                    self.wrong('enum', f'{tag}.{m}', 'a member', 'none')
            for m in members:
                if m not in every:
                    self.unknown('enumerator', m, tag)
                    continue
                count += 1
                ask('enum', f'{tag}.{m}', m, known.get(m, every[m]) if known else every[m])
        return count

    def constants(self, data, ask):
        known = data['constants']
        count = 0
        rest = []
        for name, header in sorted(self.macros.items()):
            if self.may('macro', name):
                continue
            if name in known:
                ask(header, name, name, known[name]['value'])
                count += 1
            else:
                rest.append(name)
        for name in sorted(integer_macros(rest, self.source, self.build)):
            self.unknown('constant', name, self.macros[name])
        return count

    def functions(self, data):
        count = 0
        for name, f in sorted(self.declared.functions.items()):
            want = data['functions'].get(name)
            if want is None:
                self.unknown('function', name)
                continue
            count += 1
            header = want['header']
            if f['args'] != len(want['args']):
                self.wrong(header, name + ' arguments', len(want['args']), f['args'])
            if f['variadic'] != want['variadic']:
                self.wrong(header, name + ' variadic', want['variadic'], f['variadic'])
            if f['inline'] != want['inline'] and not self.may('inline', name):
                self.wrong(header, name + ' inline', want['inline'], f['inline'])
            if not f['inline'] and not re.search(r'ms_abi|\bNTAPI\b', f['type']):
                self.wrong(header, name, 'NTAPI', f['type'])
        return count

    def typedefs(self, data, ask):
        count = 0
        for name, t in sorted(self.declared.typedefs.items()):
            text = t.get('desugaredQualType', t['qualType'])
            if '(' in text and '(unnamed' not in text and not re.search(r'ms_abi|\bNTAPI\b', text):
                self.wrong('typedef', name, 'NTAPI', text)
            want = data['typedefs'].get(name)
            if want is None:
                self.unknown('typedef', name)
                continue
            count += 1
            is_function = re.match(r'[^(]*\S \((?!\*)', want['canonical']) is not None
            if want['size'] > 0 and not is_function and name not in self.incomplete(data):
                ask(want['header'], f'typedef {name} size', f'sizeof({name})', want['size'])
        return count

    def incomplete(self, data):
        """Typedefs of records that our headers leave incomplete."""
        if not hasattr(self, '_incomplete'):
            self._incomplete = set()
            for name, t in self.declared.typedefs.items():
                text = t.get('desugaredQualType', t['qualType'])
                m = re.match(r'(?:const |volatile )*(struct|union) (\w+)$', text)
                if m and m.group(2) not in self.declared.records:
                    self._incomplete.add(name)
        return self._incomplete

    def reduce(self, full):
        """The part of the full interface that our headers declare."""
        with open(full, encoding='utf-8') as f:
            data = json.load(f)
        d = self.declared
        members = {m for ms in d.enums.values() for m in ms}
        out = {'about': data['about'] + ' Reduced to the names that include/wdk declares.'}
        out['records'] = {k: v for k, v in data['records'].items() if k in d.records}
        out['enums'] = {}
        for tag, ms in data['enums'].items():
            kept = ms if tag in d.enums else {k: v for k, v in ms.items() if k in members}
            if kept:
                out['enums'][tag] = kept
        out['constants'] = {k: v for k, v in data['constants'].items() if k in self.macros}
        out['functions'] = {k: v for k, v in data['functions'].items() if k in d.functions}
        out['typedefs'] = {k: v for k, v in data['typedefs'].items() if k in d.typedefs}
        with open(DATA, 'w', encoding='utf-8') as f:
            f.write('{\n"about": ' + json.dumps(out.pop('about')))
            for part, names in out.items():  # one line a name: readable differences
                f.write(f',\n"{part}": {{\n')
                f.write(',\n'.join(f'{json.dumps(k)}: {json.dumps(v, separators=(",", ":"))}'
                                   for k, v in sorted(names.items())))
                f.write('\n}')
            f.write('\n}\n')


def main():
    args = sys.argv[1:]
    if args[:1] == ['--reduce']:
        Check(os.path.join('/tmp', f'umn-abi-{os.getuid()}')).reduce(args[1])
        return
    check = Check(os.path.abspath(args[0]) if args else os.path.join('/tmp', f'umn-abi-{os.getuid()}'))
    with open(DATA, encoding='utf-8') as f:
        data = json.load(f)
    check.compare(data)
    for line in check.differ:
        print('  ' + line)
    sys.exit(1 if check.differ else 0)


if __name__ == '__main__':
    main()
