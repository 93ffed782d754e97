/* The least of msgpack that the benchmarks need: write small frames, walk over received ones. */
#ifndef MP_H
#define MP_H

#include <stdint.h>
#include <string.h>

static inline uint8_t *mp_map(uint8_t *p, int pairs) { *p = 0x80 | pairs; return p + 1; }

static inline uint8_t *mp_str(uint8_t *p, const char *s, size_t n) {
    if (n < 32) *p++ = 0xa0 | n;
    else { *p++ = 0xd9; *p++ = (uint8_t)n; }
    memcpy(p, s, n);
    return p + n;
}

static inline uint8_t *mp_key(uint8_t *p, const char *s) { return mp_str(p, s, strlen(s)); }

static inline uint8_t *mp_uint(uint8_t *p, uint64_t v) {
    if (v < 128) { *p++ = (uint8_t)v; return p; }
    *p++ = 0xcf;
    for (int shift = 56; shift >= 0; shift -= 8) *p++ = (uint8_t)(v >> shift);
    return p;
}

static inline uint8_t *mp_bin16(uint8_t *p, const uint8_t id[16]) {
    *p++ = 0xc4; *p++ = 16;
    memcpy(p, id, 16);
    return p + 16;
}

static inline uint64_t mp_be(const uint8_t *p, int n) {
    uint64_t v = 0;
    while (n--) v = v << 8 | *p++;
    return v;
}

/* The first byte after the object at p; NULL when it does not end before `end`. */
static inline const uint8_t *mp_skip(const uint8_t *p, const uint8_t *end) {
    for (uint64_t need = 1; need; need--) {
        if (p >= end) return NULL;
        uint8_t b = *p++;
        uint64_t n = 0;
        if (b < 0x80 || b >= 0xe0) continue;
        if (b < 0x90) { need += 2 * (b & 15); continue; }
        if (b < 0xa0) { need += b & 15; continue; }
        if (b < 0xc0) n = b & 31;
        else switch (b) {
            case 0xc0: case 0xc2: case 0xc3: break;
            case 0xc4: case 0xd9: if (end - p < 1) return NULL; n = *p++; break;
            case 0xc5: case 0xda: if (end - p < 2) return NULL; n = mp_be(p, 2); p += 2; break;
            case 0xc6: case 0xdb: if (end - p < 4) return NULL; n = mp_be(p, 4); p += 4; break;
            case 0xcc: case 0xd0: n = 1; break;
            case 0xcd: case 0xd1: n = 2; break;
            case 0xca: case 0xce: case 0xd2: n = 4; break;
            case 0xcb: case 0xcf: case 0xd3: n = 8; break;
            case 0xdc: if (end - p < 2) return NULL; need += mp_be(p, 2); p += 2; break;
            case 0xdd: if (end - p < 4) return NULL; need += mp_be(p, 4); p += 4; break;
            case 0xde: if (end - p < 2) return NULL; need += 2 * mp_be(p, 2); p += 2; break;
            case 0xdf: if (end - p < 4) return NULL; need += 2 * mp_be(p, 4); p += 4; break;
            default: break; /* ext: none of ours */
        }
        if ((uint64_t)(end - p) < n) return NULL;
        p += n;
    }
    return p;
}

/* A string's bytes; NULL when it is none. Moves p behind it. */
static inline const char *mp_get_str(const uint8_t **p, size_t *n) {
    const uint8_t *q = *p;
    if ((*q & 0xe0) == 0xa0) { *n = *q & 31; q += 1; }
    else if (*q == 0xd9) { *n = q[1]; q += 2; }
    else if (*q == 0xda) { *n = mp_be(q + 1, 2); q += 3; }
    else return NULL;
    *p = q + *n;
    return (const char *)q;
}

static inline uint64_t mp_get_uint(const uint8_t *p) {
    if (*p < 128) return *p;
    switch (*p) {
        case 0xcc: return p[1];
        case 0xcd: return mp_be(p + 1, 2);
        case 0xce: return mp_be(p + 1, 4);
        case 0xcf: return mp_be(p + 1, 8);
        default: return 0;
    }
}

/* What the benchmarks look at in a frame. */
struct frame {
    const char *t; size_t t_len;
    const char *text; size_t text_len;
    const char *room; size_t room_len;
    uint64_t ref, seq, sender, head;
};

static inline int mp_is(const char *s, size_t n, const char *other) {
    return n == strlen(other) && memcmp(s, other, n) == 0;
}

/* Read one frame; the first byte after it, NULL when it is not all there yet. */
static const uint8_t *mp_frame(const uint8_t *p, const uint8_t *end, struct frame *f) {
    const uint8_t *after = mp_skip(p, end);
    if (!after) return NULL;
    memset(f, 0, sizeof *f);
    int pairs;
    if ((*p & 0xf0) == 0x80) pairs = *p++ & 15;
    else if (*p == 0xde) { pairs = (int)mp_be(p + 1, 2); p += 3; }
    else return after;
    while (pairs--) {
        size_t n;
        const char *key = mp_get_str(&p, &n);
        if (!key) return after;
        const uint8_t *value = p, *next = mp_skip(p, after);
        if (n == 1 && *key == 't') f->t = mp_get_str(&value, &f->t_len);
        else if (mp_is(key, n, "text")) f->text = mp_get_str(&value, &f->text_len);
        else if (mp_is(key, n, "room")) f->room = mp_get_str(&value, &f->room_len);
        else if (mp_is(key, n, "ref")) f->ref = mp_get_uint(value);
        else if (mp_is(key, n, "seq")) f->seq = mp_get_uint(value);
        else if (mp_is(key, n, "sender")) f->sender = mp_get_uint(value);
        else if (mp_is(key, n, "head")) f->head = mp_get_uint(value);
        p = next;
    }
    return after;
}

#endif
