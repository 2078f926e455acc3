#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the generated part of include/wdk from facts about the Windows x64 interface.

The facts come from two places: a JSON file with every size, offset, value and prototype (the
`about` text in it says what it holds), and the front matter of Microsoft's public DDI pages, which
give what a flat layout cannot: the names of nested members and of parameters.

The output is one header per row of FILES. What needs a human (inline functions, function-like
macros, base types) stands in headers written by hand; this program scans them first and leaves out
every name that they define. Run it from the top of the tree:

    tools/abi/wdkgen.py --json windows-x64.json --ddi <checkout of wdk-ddi-src/content>
"""
import argparse
import difflib
import glob
import json
import os
import re
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import wdkscope as scope  # noqa: E402

POINTER = 8
SCALARS = {
    'char': 1, 'signed char': 1, 'unsigned char': 1, 'short': 2, 'unsigned short': 2, 'int': 4,
    'unsigned int': 4, 'long': 4, 'unsigned long': 4, 'long long': 8, 'unsigned long long': 8,
    'double': 8, 'float': 4, 'wchar_t': 2, '__int64': 8, 'unsigned __int64': 8,
}
BASE = {  # names that nt/base.h declares by hand and the JSON does not know
    'SIZE_T': 8, 'SSIZE_T': 8, 'ULONG_PTR': 8, 'LONG_PTR': 8, 'UINT_PTR': 8, 'INT_PTR': 8,
    'ULONG64': 8, 'LONG64': 8, 'UINT64': 8, 'INT64': 8, 'UINT32': 4, 'INT32': 4, 'ULONG32': 4,
    'LONG32': 4, 'UINT16': 2, 'INT16': 2, 'UINT8': 1, 'INT8': 1, 'KAFFINITY': 8, 'size_t': 8,
    'DWORD64': 8, 'DWORD32': 4, 'UINT': 4, 'BOOL': 4,
}
WORD = re.compile(r'[A-Za-z_]\w*')


def clean(text):
    """A type as our headers write it: no compiler words, LLP64 names instead of `long`."""
    text = re.sub(r'__attribute__\(\(\w+\)\)\s*', '', text)
    text = re.sub(r'\b(__unaligned|__sptr|__ptr32)\b\s*', '', text)
    text = re.sub(r'\bwchar_t\b', 'WCHAR', text)
    text = re.sub(r'\bunsigned long long\b|\bunsigned __int64\b', 'ULONGLONG', text)
    text = re.sub(r'\blong long\b|\b__int64\b', 'LONGLONG', text)
    text = re.sub(r'\bunsigned long\b', 'ULONG', text)
    text = re.sub(r'\blong\b', 'LONG', text)
    return re.sub(r'\s+', ' ', text).strip()


class Facts:
    def __init__(self, path):
        with open(path, encoding='utf-8') as f:
            data = json.load(f)
        self.records = data['records']
        self.enums = dict(data['enums'])
        self.unnamed = self.enums.pop('(unnamed)', {})
        self.tagged_enums = set(self.enums)
        self.constants = data['constants']
        self.functions = data['functions']
        self.typedefs = data['typedefs']
        for name, (first, last) in scope.ENUM_SPANS.items():
            keys = list(self.unnamed)
            a, b = keys.index(first), keys.index(last)
            self.enums[name] = {k: self.unnamed[k] for k in keys[a:b + 1]}

    def size_align(self, text):
        """Size and natural alignment of a type as the JSON writes it."""
        text = re.sub(r'__attribute__\(\(\w+\)\)', '', text)
        text = re.sub(r'\b(const|volatile|__sptr)\b', '', text).strip()
        m = re.match(r'(.*?)((?:\[\d*\])+)$', text)
        if m and '(' not in text:
            size, align = self.size_align(m.group(1))
            if size is None:
                return None, None
            for n in re.findall(r'\[(\d*)\]', m.group(2)):
                size *= int(n or 0)
            return size, align
        if text.endswith('__ptr32'):
            return 4, 4
        if '__unaligned' in text and not text.endswith('*'):
            return self.size_align(text.replace('__unaligned', ''))[0], 1
        text = text.replace('__unaligned', '').strip()
        if text.endswith('*') or '(*' in text:
            return POINTER, POINTER
        text = re.sub(r'\s+', ' ', text)
        if text in scope.FOREIGN:
            return scope.FOREIGN[text]
        if text in SCALARS:
            return SCALARS[text], SCALARS[text]
        if text in BASE:
            return BASE[text], BASE[text]
        m = re.match(r'(struct|union|enum) (\w+)$', text)
        if m:
            if m.group(1) == 'enum':
                return 4, 4
            rec = self.records.get(m.group(2))
            return (rec['size'], rec['align']) if rec else (None, None)
        if text in self.typedefs:
            if text in scope.OPAQUE_ALIGN:
                return self.typedefs[text]['size'], scope.OPAQUE_ALIGN[text]
            return self.size_align(self.typedefs[text]['type'])
        return None, None


class Docs:
    """Member paths and parameter names from the DDI pages."""

    def __init__(self, root):
        self.fields, self.params, self.enum_fields = {}, {}, {}
        for path in sorted(glob.glob(os.path.join(root, '*', 'n[sfce]-*.md'))):
            with open(path, encoding='utf-8', errors='replace') as f:
                text = f.read()
            m = re.search(r'^UID: (N[SFCE]):\w+\.(\w+)', text, re.M)
            if not m:
                continue
            kind, name = m.groups()
            if kind in ('NS', 'NE'):
                found = re.findall(r'^### -field\s+([\w.]+)', text, re.M)
                (self.fields if kind == 'NS' else self.enum_fields).setdefault(name, found)
            else:
                self.params.setdefault(name, re.findall(r'^### -param\s+(\S+)', text, re.M))

    def param_names(self, name, count):
        found = [re.sub(r'\W', '', p) for p in self.params.get(name, [])]
        if len(found) != count or len(set(found)) != count:
            return [''] * count
        return [p if re.match(r'[A-Za-z_]\w*$', p) and p not in scope.BAD_PARAMS else ''
                for p in found]


def declare(text, name, facts):
    """C declarator for `name` of the JSON type `text`; function types carry NTAPI."""
    text = clean(text)
    m = re.match(r'(.*?)\s*((?:\[\d*\])+)$', text)
    if m and '(' not in text:
        dims = m.group(2)
        base = m.group(1)
        sep = '' if base.endswith('*') else ' '
        return f'{base}{sep}{name}{dims}'
    if '(' not in text:
        sep = '' if text.endswith('*') else ' '
        return f'{text}{sep}{name}'
    ret, mid, args = split_function(text)
    sep = '' if ret.endswith('*') else ' '
    if mid is None:
        return f'{ret}{sep}NTAPI {name}({args})'
    if args is None:  # "FN (*)": a pointer to a named function type
        return f'{ret}{sep}{mid}{name}'
    return f'{ret}{sep}(NTAPI {mid}{name})({args})'


def split_function(text):
    """'R (*)(A)' -> (R, '*', A); 'R (A)' -> (R, None, A); 'FN (*)' -> (FN, '*', None)."""
    m = re.match(r'(.*?)\s*\((\*[^()]*)\)\s*(.*)$', text)
    if m and not re.search(r'\(', m.group(1)):
        rest = m.group(3)
        return m.group(1), m.group(2), (rest[1:-1].strip() or 'void') if rest else None
    i = text.index('(')
    return text[:i].strip(), None, text[i + 1:text.rindex(')')].strip() or 'void'


def split_args(args):
    out, depth, cur = [], 0, ''
    for ch in args:
        depth += (ch == '(') - (ch == ')')
        if ch == ',' and depth == 0:
            out.append(cur.strip())
            cur = ''
        else:
            cur += ch
    if cur.strip():
        out.append(cur.strip())
    return out


# --- records -----------------------------------------------------------------------------------

class Leaf:
    def __init__(self, field):
        self.name, self.type = field['name'], field['type']
        self.bits = field.get('bits')
        if self.bits is not None:
            self.start = field['bit_offset']
            self.end = self.start + self.bits
        else:
            self.start = field['offset'] * 8
            self.end = self.start + field['size'] * 8


class Group:
    def __init__(self, kind, name, members):
        self.kind, self.name, self.members = kind, name, members
        self.start = min(m.start for m in members)
        self.end = max(m.end for m in members)


ANON = re.compile(r'DUMMY(UNION|STRUCT)NAME\d*$|_?ANONYMOUS_\w+$')


def group_by_paths(leaves, paths):
    """Nests flat leaves as the dotted member paths of the documentation say."""
    groups = {p.rsplit('.', i)[0] for p in paths for i in range(1, p.count('.') + 1)}
    doc = [p for p in paths if p not in groups]
    matcher = difflib.SequenceMatcher(None, [l.name for l in leaves],
                                      [p.rsplit('.', 1)[-1] for p in doc], autojunk=False)
    path_of = {}
    for block in matcher.get_matching_blocks():
        for k in range(block.size):
            path_of[block.a + k] = doc[block.b + k]
    missed = len(leaves) - len(path_of)
    root = []
    opened = []  # [(name, members)] of the groups that contain the current leaf
    for i, leaf in enumerate(leaves):
        path = path_of.get(i)
        comps = path.split('.')[:-1] if path else [n for n, _ in opened]
        while opened and [n for n, _ in opened] != comps[:len(opened)]:
            opened.pop()
        for comp in comps[len(opened):]:
            members = []
            (opened[-1][1] if opened else root).append((comp, members))
            opened.append((comp, members))
        (opened[-1][1] if opened else root).append(leaf)
    return root, missed


def build(tree):
    out = []
    for node in tree:
        if isinstance(node, Leaf):
            out.append(node)
            continue
        name, members = node
        out.append(make_group(build(members), None if ANON.match(name) else name))
    return out


def make_group(members, name):
    kind = 'struct'
    if len(members) > 1 and all(m.start == members[0].start for m in members):
        kind = 'union'
        return Group(kind, name, members)
    return Group(kind, name, overlay(members))


class Unclear(Exception):
    pass


UNIT = {'UCHAR': 8, 'BOOLEAN': 8, 'USHORT': 16, 'UINT16': 16, 'ULONG': 32, 'UINT32': 32, 'LONG': 32}


def same_unit(a, b):
    """Two bit-fields of one storage unit."""
    if not (isinstance(a, Leaf) and isinstance(b, Leaf) and a.bits and b.bits):
        return False
    unit = UNIT.get(b.type, 64)
    return a.start // unit == b.start // unit


def overlay(nodes):
    """Members of a struct in declaration order -> the same with anonymous unions put back."""
    out = []
    i = 0
    while True:
        end = None
        clash = None
        for k in range(i, len(nodes)):
            if end is not None and nodes[k].start < end:
                clash = k
                break
            end = nodes[k].end if end is None else max(end, nodes[k].end)
        if clash is None:
            return out + nodes[i:]
        at = nodes[clash].start
        first = [j for j in range(i, clash) if nodes[j].start == at]
        if not first:
            raise Unclear(nodes[clash].name)
        j = first[0]
        out += nodes[i:j]
        members = [nodes[j:clash]]
        reach = max(n.end for n in members[0])
        k = clash
        cur = []
        while k < len(nodes):
            n = nodes[k]
            if n.start == at:
                cur = [n]
                members.append(cur)
            elif n.start < at:
                break
            elif (n.start >= reach and n.start >= max(c.end for c in cur)
                  and not same_unit(cur[-1], n)):
                break
            else:
                cur.append(n)
            k += 1
            if k < len(nodes) and nodes[k].start <= at:
                reach = max(reach, max(c.end for c in cur))
        out.append(Group('union', None, [wrap(m) for m in members]))
        # what follows may overlay the whole union again
        nodes = nodes[:0] + out + nodes[k:]
        i, out = 0, []
        if not any_clash(nodes):
            return nodes


def any_clash(nodes):
    end = -1
    for n in nodes:
        if n.start < end:
            return True
        end = max(end, n.end)
    return False


def wrap(nodes):
    if len(nodes) == 1:
        return nodes[0]
    return Group('struct', None, overlay(nodes))


def union_members(nodes):
    members = []
    for n in nodes:
        if n.start == 0 or not members:
            members.append([n])
        else:
            members[-1].append(n)
    return [wrap(m) for m in members]


class RecordWriter:
    def __init__(self, facts, docs):
        self.facts, self.docs = facts, docs

    def tree(self, tag):
        rec = self.facts.records[tag]
        leaves = [Leaf(f) for f in rec['fields']]
        alias = tag.lstrip('_')
        paths = scope.PATHS.get(tag)
        if paths is None:
            fields = self.docs.fields
            plain = tag.replace('WMI_', '')
            paths = fields.get(tag) or fields.get(alias) or fields.get(plain) or []
        if any('.' in p for p in paths):
            nested, _ = group_by_paths(leaves, paths)
            nodes = build(nested)
        else:
            nodes = leaves
        if rec['kind'] == 'union':
            return union_members(nodes)
        return overlay(nodes)

    def body(self, tag):
        """(lines, pack, align) for the record, or raises Unclear."""
        rec = self.facts.records[tag]
        if tag in scope.BODIES:
            return [l.rstrip() for l in scope.BODIES[tag].strip('\n').split('\n')], None, None
        nodes = self.tree(tag)
        for pack in (None, 1, 2, 4, 8):
            for forced in (False, True):
                try:
                    lines, size, align = self.layout(tag, nodes, rec['kind'], 0, pack, forced, 1)
                except Unclear:
                    continue
                want = rec['align']
                up = want if want > align else align
                total = -(-size // (8 * up)) * 8 * up
                if total == rec['size'] * 8 and (want >= align):
                    return lines, pack, want if want > align else None
        raise Unclear(tag)

    def layout(self, tag, nodes, kind, base, pack, forced, depth):
        """Lines, size in bits and alignment in bytes of a struct or union body."""
        pad = '    ' * depth
        lines, at, top, unit, biggest = [], 0, 1, None, 0
        for n in nodes:
            if kind == 'union':
                at, unit = 0, None
            if isinstance(n, Leaf) and n.bits is not None:
                size, align = self.facts.size_align(n.type)
                if size is None:
                    raise Unclear(n.name)
                align = min(align, pack or 16)
                top = max(top, align)
                bits = size * 8
                want = n.start - base
                fits = unit and unit[1] == bits and want < unit[0] + bits and want >= unit[2]
                typ = clean(n.type)
                if not fits:
                    start = -(-at // (8 * align)) * 8 * align
                    if unit and unit[1] == bits and unit[0] + bits - unit[2] >= n.bits:
                        lines.append(f'{pad}{typ} : {unit[0] + bits - unit[2]};')
                    if want < start or want >= start + bits:
                        raise Unclear(n.name)
                    unit = [start, bits, start]
                    at = start + bits
                if want > unit[2]:
                    lines.append(f'{pad}{typ} : {want - unit[2]};')
                elif want < unit[2]:
                    raise Unclear(n.name)
                lines.append(f'{pad}{typ} {n.name} : {n.bits};')
                unit[2] = want + n.bits
                biggest = max(biggest, at)
                continue
            unit = None
            if isinstance(n, Leaf):
                size, align = self.facts.size_align(n.type)
                size = n.end - n.start if size is None else size * 8
                align = align or scope.FIELD_ALIGN.get((tag, n.name))
                if align is None:
                    raise Unclear(n.name)
                inner = None
            else:
                inner, size, align = self.layout(tag, n.members, n.kind, n.start, pack, forced,
                                                 depth + 1)
                size = -(-size // (8 * align)) * 8 * align
            align = min(align, pack or 16)
            start = -(-at // (8 * align)) * 8 * align
            want = n.start - base
            extra = ''
            if start != want:
                if want < start or not forced:
                    raise Unclear(n.name)
                step = align
                while step < 128 and -(-at // (8 * step)) * 8 * step != want:
                    step *= 2
                if step == 128:
                    raise Unclear(n.name)
                extra, align = {8: 'POINTER_ALIGNMENT '}.get(step, f'DECLSPEC_ALIGN({step}) '), step
            top = max(top, align)
            at = want + size
            biggest = max(biggest, at)
            if inner is None:
                raw = scope.FIELDS.get((tag, n.name))
                if raw:
                    lines += [pad + l for l in raw.strip('\n').split('\n')]
                else:
                    lines.append(f'{pad}{extra}{declare(n.type, n.name, self.facts)};')
            else:
                lines.append(f'{pad}{extra}{n.kind} {{')
                lines += inner
                lines.append(f'{pad}}}{" " + n.name if n.name else ""};')
        return lines, biggest if kind == 'union' else at, top


# --- the writer --------------------------------------------------------------------------------

class Writer:
    def __init__(self, facts, docs, out, hand):
        self.facts, self.docs, self.out, self.hand = facts, docs, out, hand
        self.rec = RecordWriter(facts, docs)
        self.home = {}          # entity -> file that declares it
        self.done = set()       # entities declared so far
        self.stack = []
        self.alias_of = {}      # typedef name -> entity
        self.aliases = {}       # tag -> typedef names
        self.unclear = []
        self.tags_seen = set()
        self.file = None
        self.lines = []
        self.needs = set()
        for name, t in facts.typedefs.items():
            m = re.match(r'(?:const )?(struct|union|enum) (\w+)( \*)?$', t['type'])
            if m and (m.group(2) in facts.records or m.group(2) in facts.enums):
                if t['type'].startswith('const') or t.get('header') is None:
                    self.alias_of[name] = ('typedef', name)
                    continue
                tag = m.group(2)
                self.aliases.setdefault(tag, []).append((name, bool(m.group(3))))
                self.alias_of[name] = (m.group(1), tag)
            else:
                self.alias_of[name] = ('typedef', name)
        for tag in facts.records:
            self.aliases.setdefault(tag, [])

    # which file an entity belongs to by the JSON
    def header_of(self, ent):
        kind, name = ent
        if kind == 'typedef':
            return self.facts.typedefs[name]['header']
        if kind == 'enum':
            for alias, _ in self.aliases.get(name, []):
                return self.facts.typedefs[alias]['header']
            return scope.ENUM_HEADER.get(name)
        return self.facts.records[name]['header']

    def entities(self):
        for tag, rec in self.facts.records.items():
            yield (rec['kind'], tag)
        for tag in self.facts.enums:
            yield ('enum', tag)
        for name, ent in self.alias_of.items():
            if ent == ('typedef', name):
                yield ent

    # -- emission of one entity with what it needs before it

    def need_type(self, text, weak=False):
        text = clean(text)
        for m in re.finditer(r'\b(struct|union|enum) (\w+)', text):
            kind, tag = m.groups()
            after = text[m.end():].lstrip()
            ent = (kind, tag)
            known = tag in self.facts.records or tag in self.facts.enums
            pointer = after.startswith('*') or '(' in text
            if kind == 'enum' or (known and not pointer):
                self.emit(ent)
            elif pointer and tag not in self.tags_seen and ent not in self.done:
                if tag not in self.hand['tags']:
                    self.put([f'{kind} {tag};'])
                self.tags_seen.add(tag)
        for w in WORD.findall(re.sub(r'\b(struct|union|enum) \w+', '', text)):
            if w in self.facts.typedefs or w in scope.EXTRA:
                self.need_name(w, weak)

    def need_name(self, name, weak=False):
        if name in self.hand['typedefs'] or name in BASE:
            return
        if name in scope.EXTRA:
            if name not in self.done:
                self.done.add(name)
                self.put(scope.EXTRA[name].strip('\n').split('\n') + [''])
            return
        ent = self.alias_of[name]
        record = ent[0] in ('struct', 'union')
        ptr = record and dict(self.aliases[ent[1]]).get(name)
        if record and ent not in self.done and ent[1] not in self.hand['tags']:
            left_out = ptr and not scope.kept(ent[1], self.header_of(ent), self.facts)
            if ent in self.stack or weak or left_out:
                if ('fwd', name, self.file) not in self.done:
                    self.done.add(('fwd', name, self.file))
                    self.put([f'typedef {ent[0]} {ent[1]} {"*" if ptr else ""}{name};'])
                    self.tags_seen.add(ent[1])
                return
        self.emit(ent)

    def known(self, text):
        """False for a type that names something that no header of ours can declare."""
        plain = re.sub(r'\b(struct|union|enum) \w+', '', clean(text))
        plain = re.sub(r'\b(const|volatile|unsigned|signed|void|char|short|int|float|double)\b', '',
                       plain)
        return all(n in self.facts.typedefs or n in BASE or n in scope.EXTRA or n in scope.FOREIGN
                   or n in self.hand['typedefs'] or n in ('VOID', 'UCHAR') for n in WORD.findall(plain))

    def put(self, lines):
        self.lines += lines

    def emit(self, ent):
        if ent in self.done or ent in self.stack:
            return
        kind, name = ent
        if kind == 'typedef':
            if name in self.hand['typedefs'] or name in BASE:
                return
        elif name in self.hand['tags']:
            self.done.add(ent)
            return
        self.stack.append(ent)
        try:
            if kind == 'enum':
                self.emit_enum(name)
            elif kind == 'typedef':
                self.emit_typedef(name)
            else:
                self.emit_record(kind, name)
        finally:
            self.stack.pop()
        self.done.add(ent)
        self.home[ent] = self.file

    def tail(self, tag):
        names = [(n, p) for n, p in self.aliases.get(tag, []) if n not in self.hand['typedefs']]
        names.sort(key=lambda x: (x[1], x[0].startswith('P'), len(x[0]), x[0]))
        return ', '.join(('*' if p else '') + n for n, p in names)

    def emit_enum(self, tag):
        values = self.facts.enums[tag]
        tail = self.tail(tag)
        named = ' ' + tag if tag in self.facts.tagged_enums else ''
        lines = [('typedef ' if tail else '') + f'enum{named} {{']
        expect = 0
        for key, value in values.items():
            if key in self.hand['macros']:
                continue
            lines.append(f'    {key},' if value == expect else f'    {key} = {number(value, key)},')
            expect = value + 1
        lines[-1] = lines[-1].rstrip(',')
        lines.append(f'}} {tail};' if tail else '};')
        self.put(lines + [''])

    def emit_typedef(self, name):
        t = self.facts.typedefs[name]
        if name in scope.EXTRA:
            return self.need_name(name)
        text = t['type']
        m = re.match(r'(struct|union|enum) (\w+)$', text)
        if m and m.group(2) == name:
            if t['size'] >= 0 and name not in self.facts.records:
                self.unclear.append(f'typedef {name}: layout not in the JSON')
                return
        if m and t['size'] < 0:
            self.put([f'typedef {text} {name};', ''])
            self.tags_seen.add(m.group(2))
            return
        m = re.match(r'(struct|union) (\w+) \*$', clean(text))
        if m:
            self.put([f'typedef {clean(text)}{name};', ''])
            self.tags_seen.add(m.group(2))
            return
        if not self.known(text):
            return
        self.need_type(text, weak='(' in text)
        text = clean(text)
        if '(' in text:
            ret, mid, args = split_function(text)
            if args is not None and args != 'void':
                parts = split_args(args)
                names = self.docs.param_names(name, len(parts))
                args = ', '.join(self.param(p, n) for p, n in zip(parts, names))
                sep = '' if ret.endswith('*') else ' '
                if mid is None:
                    self.put(fill(f'typedef {ret}{sep}NTAPI {name}(', args, ');') + [''])
                else:
                    self.put(fill(f'typedef {ret}{sep}(NTAPI {mid}{name})(', args, ');') + [''])
                return
        self.put([f'typedef {declare(text, name, self.facts)};', ''])

    def param(self, text, name):
        if text == '...':
            return text
        if not name:
            return declare(text, '', self.facts).strip() if '(' in text else clean(text)
        return declare(text, name, self.facts)

    def emit_record(self, kind, tag):
        rec = self.facts.records[tag]
        try:
            lines, pack, align = self.rec.body(tag)
        except Unclear as e:
            self.unclear.append(f'{rec["header"]}: {tag}: {e}')
            self.put([f'{kind} {tag};'])
            return
        for f in rec['fields']:
            if (tag, f['name']) not in scope.FIELDS:
                self.need_type(f['type'])
        for text in [scope.BODIES.get(tag, '')] + [v for k, v in scope.FIELDS.items()
                                                   if k[0] == tag]:
            for w in WORD.findall(text):
                if w in self.facts.typedefs:
                    self.need_name(w)
        tail = self.tail(tag)
        named = ' ' + tag
        head = ('typedef ' if tail else '') + kind
        if align:
            head += f' DECLSPEC_ALIGN({align})'
        out = [f'{head}{named} {{'] + lines + [f'}} {tail};' if tail else '};']
        if pack:
            out = [f'#pragma pack(push, {pack})'] + out + ['#pragma pack(pop)']
        self.put(out + [''])
        self.tags_seen.add(tag)

    # -- constants and functions

    def constants(self, header, what=()):
        groups = {}
        for name, c in self.facts.constants.items():
            if c['header'] != header or name in self.hand['macros']:
                continue
            if header == 'ntddndis.h' and name.startswith('OID_') != ('oids' in what):
                continue
            if not scope.kept(name, header, self.facts) or name in scope.SKIP_CONSTANTS:
                continue
            groups.setdefault(prefix(name), []).append((name, c['value']))
        merged, loose = {}, []
        for key, items in groups.items():
            if len(items) < 3:
                loose += items
            else:
                merged[key] = items
        out = []
        blocks = [sorted(loose)] if loose else []
        blocks = [sorted(merged[k], key=lambda x: (x[1], x[0])) for k in sorted(merged)] + blocks
        for items in blocks:
            width = max(len(n) for n, _ in items) + 1
            for name, value in items:
                out.append(f'#define {name:<{width}}{number(value, name, items)}')
            out.append('')
        return out

    def function_lines(self, names):
        out = []
        for name in names:
            f = self.facts.functions[name]
            parts = list(f['args'])
            pn = self.docs.param_names(name, len(parts) + (1 if f['variadic'] else 0))
            pn = pn[:len(parts)]
            if len(pn) < len(parts):
                pn = [''] * len(parts)
            args = ', '.join(self.param(p, n) for p, n in zip(parts, pn))
            if f['variadic']:
                args += ', ...'
            ret = clean(f['returns'])
            sep = '' if ret.endswith('*') else ' '
            api = 'NDISAPI' if name.startswith('Ndis') else 'NTKERNELAPI'
            if name in scope.NORETURN:
                api = 'DECLSPEC_NORETURN ' + api
            out += fill(f'{api} {ret}{sep}NTAPI {name}(', args or 'void', ');')
        return out

    def emit_extra_all(self, header):
        for name, text in scope.EXTRA.items():
            if scope.EXTRA_HEADER.get(name) == header:
                self.need_name(name)


def prefix(name):
    m = re.match(r'(_*[A-Za-z0-9]+_[A-Za-z0-9]+)', name)
    key = m.group(1) if m else name
    if re.match(r'NDIS_SIZEOF|NDIS_STATUS|STATUS|OID_GEN|OID_FDDI|RPC|NDIS_STATISTICS', key):
        return key.split('_')[0] + '_' + key.split('_')[1] if key.startswith(('NDIS', 'OID')) \
            else key.split('_')[0]
    return key


def number(value, name, items=()):
    if value < 0:
        if value < -0x80000000:
            return f'(LONGLONG)0x{value & (1 << 64) - 1:016X}LL' if 0 else \
                f'0x{value & (1 << 64) - 1:016X}ULL'
        if re.match(r'STATUS_|DBG_|RPC_NT_|EPT_NT_|MD_NTSTATUS', name):
            return f'((NTSTATUS)0x{value & 0xffffffff:08X})'
        if re.match(r'NDIS_STATUS_', name):
            return f'((NDIS_STATUS)0x{value & 0xffffffff:08X})'
        return f'({value})' if value > -65536 else f'((LONG)0x{value & 0xffffffff:08X})'
    if re.match(r'(STATUS_|DBG_[A-Z]+_|RPC_NT_|EPT_NT_)', name) and not name.startswith(
            ('STATUS_SEVERITY', 'DBG_STATUS', 'DBG_DEVICE')):
        return f'((NTSTATUS)0x{value:08X})'
    if name.startswith('NDIS_STATUS_'):
        return f'((NDIS_STATUS)0x{value:08X})'
    if name.startswith('OID_'):
        return f'0x{value:08X}'
    if value > 0xffffffff:
        return f'0x{value:016X}ULL' if value > 0x7fffffffffffffff else f'0x{value:016X}LL'
    flags = re.search(r'FLAG|MASK|_FL_|RIGHTS|ACCESS|ATTRIBUTE|IOCTL|PACKET_TYPE|_BIT|OPTION', name)
    if value >= 0x10000 or (flags and value > 9):
        return f'0x{value:08X}'
    if value > 1024 or (flags and value):
        return f'0x{value:04X}'
    return str(value)


def fill(head, args, tail):
    line = head + args + tail
    if len(line) <= 100:
        return [line]
    out, cur = [], ' ' * 4
    for i, part in enumerate(split_args(args)):
        piece = part + (tail if i == len(split_args(args)) - 1 else ',')
        if len(cur) + len(piece) + 1 > 100 and cur.strip():
            out.append(cur.rstrip())
            cur = ' ' * 4
        cur += piece + ' '
    return [head] + out + [cur.rstrip()]


def scan_hand(root, generated):
    """Names that the hand-written headers define."""
    hand = {'tags': set(), 'typedefs': set(), 'macros': set(), 'functions': set()}
    for dirpath, _, files in os.walk(root):
        for name in files:
            path = os.path.join(dirpath, name)
            if os.path.relpath(path, root) in generated or not name.endswith('.h'):
                continue
            with open(path, encoding='utf-8') as f:
                text = f.read()
            text = re.sub(r'/\*.*?\*/', '', text, flags=re.S)
            hand['macros'] |= set(re.findall(r'^\s*#\s*define\s+(\w+)', text, re.M))
            hand['tags'] |= set(re.findall(r'\b(?:struct|union|enum)\s+(?:DECLSPEC_ALIGN\(\d+\)\s+)?'
                                           r'(\w+)\s*\{', text))
            for m in re.finditer(r'\btypedef\b[^;{]*?(\w+)\s*(?:\[[^\]]*\])?;', text):
                hand['typedefs'].add(m.group(1))
            for m in re.finditer(r'^\}[ ]*([\w ,*]+);', text, re.M):
                hand['typedefs'] |= set(WORD.findall(m.group(1)))
            hand['functions'] |= set(re.findall(
                r'^(?:FORCEINLINE|NTKERNELAPI|NDISAPI)\b[^;{=]*?\b(\w+)\(', text, re.M))
    return hand


def main():
    ap = argparse.ArgumentParser(description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--json', default='tests/abi/windows-x64.json')
    ap.add_argument('--ddi', required=True)
    ap.add_argument('--out', default='include/wdk')
    args = ap.parse_args()
    facts = Facts(args.json)
    docs = Docs(args.ddi)
    for name, t in facts.typedefs.items():  # unnamed enums: their pages list the members
        m = re.match(r'enum (\w+)$', t['type'])
        if m and m.group(1) not in facts.enums:
            found = docs.enum_fields.get(name) or []
            if found and all(k in facts.unnamed for k in found):
                facts.enums[name] = {k: facts.unnamed[k] for k in facts.unnamed if k in found}
    generated = {f.path for f in scope.FILES}
    hand = scan_hand(args.out, generated)
    w = Writer(facts, docs, args.out, hand)
    order = sorted(w.entities(), key=lambda e: (e[1].lstrip('_'), e[0]))
    funcs = {}
    for name, f in sorted(facts.functions.items()):
        if not all(w.known(t) for t in f['args'] + [f['returns']]):
            continue
        if f['inline'] or name in hand['functions'] or name in hand['macros']:
            continue
        if name.startswith('_') or not scope.kept(name, f['header'], facts):
            continue
        funcs.setdefault(scope.function_file(name, f['header']), []).append(name)
    texts = {}
    for spec in scope.FILES:
        w.file, w.lines, w.tags_seen = spec.path, [], set()
        if 'types' in spec.what:
            for header in spec.headers:
                w.emit_extra_all(header)
            for ent in order:
                header = w.header_of(ent)
                if header in spec.headers and scope.kept(ent[1], header, facts):
                    w.emit(ent)
            for fname, names in funcs.items():
                if fname in spec.closes:
                    for n in names:
                        f = facts.functions[n]
                        for t in f['args'] + [f['returns']]:
                            w.need_type(t, weak=True)
        body = w.lines
        if 'constants' in spec.what or 'oids' in spec.what:
            consts = []
            for header in spec.headers:
                consts += w.constants(header, spec.what)
            body = consts + body
        if 'functions' in spec.what:
            names = funcs.pop(spec.path, [])
            w.lines = []
            for n in names:
                f = facts.functions[n]
                for t in f['args'] + [f['returns']]:
                    w.need_type(t)
            body = body + w.lines + w.function_lines(names)
        texts[spec.path] = (spec, body)
    for path, (spec, body) in texts.items():
        full = os.path.join(args.out, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, 'w', encoding='utf-8') as f:
            f.write(render(spec, body))
    for line in w.unclear:
        print('unclear:', line)
    for path in funcs:
        print('no file for functions:', path, funcs[path][:5])
    print(f'{len(texts)} headers, {len(w.done)} types')


def render(spec, body):
    guard = 'UMN_WDK_' + re.sub(r'\W', '_', spec.path).upper()
    note = wrap_comment(spec.note + ' Generated by tools/abi/wdkgen.py; edit that, not this.')
    out = ['/* SPDX-License-Identifier: MIT */'] + note + [f'#ifndef {guard}', f'#define {guard}', '']
    out += [f'#include <{i}>' for i in spec.includes]
    out += ['', '#include <nt/push.h>', '']
    prev = ''
    for line in body:
        if line == '' and prev == '':
            continue
        out.append(line)
        prev = line
    if out[-1] != '':
        out.append('')
    out += ['#include <nt/pop.h>', '', f'#endif /* {guard} */', '']
    return '\n'.join(out)


def wrap_comment(text):
    lines, cur = [], '/*'
    for word in text.split():
        if len(cur) + len(word) + 1 > 97:
            lines.append(cur)
            cur = ' *'
        cur += ' ' + word
    return lines + [cur + ' */']


if __name__ == '__main__':
    main()
