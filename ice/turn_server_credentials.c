/* Who sends a request: the long-term credential mechanism of RFC 8489 section 9.2, with users that are configured and with
 * time-limited credentials that are made from a shared secret. Nonces need no state: they are a time and an HMAC over it and the
 * client's address. */
#include "base/bytes.h"
#include "base/crypto.h"
#include "base/memory.h"
#include "ice/turn_server.h"
#include <stdlib.h>
#include <string.h>

#define NONCE_LIFETIME   3600u /* seconds: RFC 8656 section 5 lets a server choose; an hour spares clients round trips */
#define NONCE_TIME_CHARS 6     /* of base64: 36 bits of seconds */
#define NONCE_MAC_CHARS  12    /* 72 bits */
#define ALGORITHM_COUNT  2
#define ALGORITHM_MAX    8
#define PASSWORD_TEXT    28 /* base64 of 20 bytes */

static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static const duet_stun_algorithm_value algorithms[ALGORITHM_COUNT] = {{DUET_STUN_SHA256, 0, NULL},
                                                                      {DUET_STUN_MD5, 0, NULL}};

/* ---- users ---- */

static uint64_t hash_bytes(uint64_t seed, const void *data, size_t len)
{
    const uint8_t *bytes = data;
    uint64_t h = seed ^ len;

    for (size_t i = 0; i < len; i++)
        h = duet_mix64(h ^ bytes[i]);
    return h;
}

static int make_key(turn_key *out, bool sha256, const char *username, const char *realm, const char *password)
{
    out->len = sha256 ? DUET_SHA256_LEN : DUET_MD5_LEN;
    return sha256 ? duet_stun_key_sha256(out->bytes, username, realm, password)
                  : duet_stun_key_md5(out->bytes, username, realm, password);
}

static int add_user(turn_credentials *c, const duet_turn_user *user)
{
    turn_static_user *u = &c->users[c->user_count];
    size_t len = user->username ? strlen(user->username) : 0;

    if (len == 0 || len > TURN_USERNAME_MAX || !user->password)
        return DUET_ERR_INVALID;
    u->username = duet_strdup(c->env, user->username);
    if (!u->username)
        return DUET_ERR_NOMEM;
    c->user_count++;
    int err = make_key(&u->md5, false, user->username, c->realm, user->password);
    if (err == DUET_OK)
        err = make_key(&u->sha256, true, user->username, c->realm, user->password);
    if (err == DUET_OK)
        err = duet_stun_userhash(u->userhash, user->username, c->realm);
    if (err != DUET_OK)
        return err;
    duet_turn_table_insert(&c->names, &u->by_name, hash_bytes(c->seed, user->username, len));
    duet_turn_table_insert(&c->hashes, &u->by_hash, hash_bytes(c->seed, u->userhash, sizeof(u->userhash)));
    return DUET_OK;
}

static int copy_texts(turn_credentials *c, const duet_turn_config *config)
{
    c->realm = duet_strdup(c->env, config->realm);
    if (!c->realm)
        return DUET_ERR_NOMEM;
    if (!config->secret)
        return DUET_OK;
    c->secret = duet_strdup(c->env, config->secret);
    c->secret_len = strlen(config->secret);
    if (!c->secret)
        return DUET_ERR_NOMEM;
    return c->secret_len ? DUET_OK : DUET_ERR_INVALID;
}

int duet_turn_credentials_init(turn_credentials *c, const duet_env *env, const duet_turn_config *config,
                               const uint8_t *nonce_secret)
{
    *c = (turn_credentials){.env = env, .nonce_secret = nonce_secret};
    int err = duet_random(env, &c->seed, sizeof(c->seed));
    if (err == DUET_OK)
        err = duet_turn_table_init(&c->names, env);
    if (err == DUET_OK)
        err = duet_turn_table_init(&c->hashes, env);
    if (err == DUET_OK)
        err = copy_texts(c, config);
    if (err != DUET_OK || config->user_count == 0)
        return err;
    c->users = duet_calloc(env, config->user_count * sizeof(turn_static_user));
    if (!c->users)
        return DUET_ERR_NOMEM;
    for (size_t i = 0; i < config->user_count && err == DUET_OK; i++)
        err = add_user(c, config->users[i]);
    return err;
}

void duet_turn_credentials_free(turn_credentials *c)
{
    if (!c->env)
        return;
    for (size_t i = 0; i < c->user_count; i++)
        duet_free(c->env, c->users[i].username);
    if (c->users)
        duet_wipe(c->users, c->user_count * sizeof(turn_static_user));
    if (c->secret)
        duet_wipe(c->secret, c->secret_len);
    duet_free(c->env, c->users);
    duet_free(c->env, c->secret);
    duet_free(c->env, c->realm);
    duet_turn_table_free(&c->names);
    duet_turn_table_free(&c->hashes);
}

bool duet_turn_credentials_exist(const turn_credentials *c)
{
    return c->user_count > 0 || c->secret;
}

static const turn_static_user *user_of_name(const turn_credentials *c, const char *name)
{
    turn_node *node = duet_turn_table_find(&c->names, hash_bytes(c->seed, name, strlen(name)));

    for (; node; node = duet_turn_table_next(node)) {
        const turn_static_user *u = DUET_TURN_OF(node, turn_static_user, by_name);
        if (strcmp(u->username, name) == 0)
            return u;
    }
    return NULL;
}

static const turn_static_user *user_of_hash(const turn_credentials *c, const uint8_t userhash[32])
{
    turn_node *node = duet_turn_table_find(&c->hashes, hash_bytes(c->seed, userhash, 32));

    for (; node; node = duet_turn_table_next(node)) {
        const turn_static_user *u = DUET_TURN_OF(node, turn_static_user, by_hash);
        if (memcmp(u->userhash, userhash, 32) == 0)
            return u;
    }
    return NULL;
}

/* ---- time-limited credentials ---- */

static void encode_base64(char *out, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i += 3) {
        uint32_t v =
            (uint32_t)data[i] << 16 | (i + 1 < len ? (uint32_t)data[i + 1] << 8 : 0) | (i + 2 < len ? data[i + 2] : 0);
        *out++ = base64[v >> 18];
        *out++ = base64[v >> 12 & 63];
        *out++ = i + 1 < len ? base64[v >> 6 & 63] : '=';
        *out++ = i + 2 < len ? base64[v & 63] : '=';
    }
    *out = 0;
}

/* The digits before the first colon, or all: seconds of Unix time. */
static bool parse_expiry(const char *username, uint64_t *expiry, const char **rest)
{
    size_t digits = strspn(username, "0123456789");

    if (digits == 0 || digits > 18 || (username[digits] != 0 && username[digits] != ':'))
        return false;
    *expiry = strtoull(username, NULL, 10);
    *rest = username[digits] ? username + digits + 1 : username + digits;
    return true;
}

static bool is_current(const turn_credentials *c, uint64_t expiry, duet_time now)
{
    if (c->wall_clock == 0 || now < c->wall_clock_at)
        return false;
    return expiry > c->wall_clock + (now - c->wall_clock_at) / 1000000u;
}

static int time_limited_key(const turn_credentials *c, turn_key *out, bool sha256, const char *username)
{
    uint8_t mac[DUET_SHA1_LEN];
    char password[PASSWORD_TEXT + 1];
    duet_iov text = {username, strlen(username)};

    int err = duet_hmac_sha1(mac, c->secret, c->secret_len, &text, 1);
    if (err != DUET_OK)
        return err;
    encode_base64(password, mac, sizeof(mac));
    err = make_key(out, sha256, username, c->realm, password);
    duet_wipe(password, sizeof(password));
    return err;
}

void duet_turn_account_name(const turn_credentials *c, const char *username, const char **name, size_t *len)
{
    uint64_t expiry;

    *name = username;
    if (c->secret && !user_of_name(c, username))
        (void)parse_expiry(username, &expiry, name);
    *len = strlen(*name);
}

/* ---- nonces ---- */

static int nonce_mac(const turn_credentials *c, const duet_address *client, const char *time_text,
                     char out[NONCE_MAC_CHARS + 1])
{
    uint8_t address[18];
    uint8_t mac[DUET_SHA256_LEN];
    duet_writer w = duet_writer_init(address, sizeof(address));

    duet_write_u16(&w, client->port);
    duet_write_bytes(&w, client->ip, sizeof(client->ip));
    const duet_iov parts[] = {{time_text, NONCE_TIME_CHARS}, {address, w.len}};
    int err = duet_hmac_sha256(mac, c->nonce_secret, TURN_SECRET_LEN, parts, 2);
    encode_base64(out, mac, NONCE_MAC_CHARS / 4 * 3);
    return err;
}

int duet_turn_nonce(const turn_credentials *c, const duet_address *client, duet_time now, char out[TURN_NONCE_LEN + 1])
{
    uint32_t features = DUET_STUN_NONCE_PASSWORD_ALGORITHMS;
    uint64_t seconds = now / 1000000u;
    char *time_text = out + DUET_STUN_NONCE_COOKIE_LEN;

    if (!c->secret) /* a hash of a time-limited name cannot be found again */
        features |= DUET_STUN_NONCE_USERNAME_ANONYMITY;
    duet_stun_nonce_cookie(out, features);
    for (size_t i = 0; i < NONCE_TIME_CHARS; i++)
        time_text[i] = base64[seconds >> (6 * (NONCE_TIME_CHARS - 1 - i)) & 63];
    return nonce_mac(c, client, time_text, time_text + NONCE_TIME_CHARS);
}

static bool nonce_is_current(const turn_credentials *c, const duet_stun_attribute *nonce, const duet_address *client,
                             duet_time now)
{
    char expected[TURN_NONCE_LEN + 1];
    uint64_t made = 0;

    if (nonce->len != TURN_NONCE_LEN)
        return false;
    duet_reader r = duet_reader_init(nonce->value, nonce->len);
    duet_read_skip(&r, DUET_STUN_NONCE_COOKIE_LEN);
    for (size_t i = 0; i < NONCE_TIME_CHARS; i++) {
        uint8_t ch = duet_read_u8(&r);
        const char *digit = ch ? strchr(base64, ch) : NULL;
        if (!digit)
            return false;
        made = made << 6 | (uint64_t)(digit - base64);
    }
    uint64_t seconds = now / 1000000u;
    if (made > seconds || seconds - made > NONCE_LIFETIME)
        return false;
    return duet_turn_nonce(c, client, made * 1000000u, expected) == DUET_OK &&
           duet_equal_constant_time(expected, nonce->value, TURN_NONCE_LEN);
}

void duet_turn_credentials_challenge(const turn_credentials *c, duet_stun_builder *b, const duet_address *client,
                                     duet_time now)
{
    char nonce[TURN_NONCE_LEN + 1];

    if (duet_turn_nonce(c, client, now, nonce) != DUET_OK) {
        b->err = b->err ? b->err : DUET_ERR_CRYPTO;
        return;
    }
    duet_stun_add_text(b, DUET_STUN_REALM, c->realm);
    duet_stun_add_text(b, DUET_STUN_NONCE, nonce);
    duet_stun_add_algorithms(b, DUET_STUN_PASSWORD_ALGORITHMS, algorithms, ALGORITHM_COUNT);
}

/* ---- a request ---- */

/* "If the NONCE attribute starts with the nonce cookie with the STUN Security Feature 'Password algorithms' bit set ..." RFC 8489
 * section 9.2.4: neither attribute is MD5; both must be there otherwise, the list as it was sent, the choice out of it.
 * @return false: 400 */
static bool choose_algorithm(const duet_stun_message *m, const duet_stun_attribute *nonce, bool *sha256)
{
    duet_stun_attribute list, choice;
    duet_stun_algorithm_value offered[ALGORITHM_MAX], chosen;
    size_t offered_count = ALGORITHM_MAX, chosen_count = 1;
    bool has_list = duet_stun_find(m, DUET_STUN_PASSWORD_ALGORITHMS, &list);
    bool has_choice = duet_stun_find(m, DUET_STUN_PASSWORD_ALGORITHM, &choice);

    *sha256 = false;
    if (!(duet_stun_nonce_features(nonce->value, nonce->len) & DUET_STUN_NONCE_PASSWORD_ALGORITHMS) ||
        (!has_list && !has_choice))
        return true;
    if (!has_list || !has_choice || duet_stun_value_algorithms(&list, offered, &offered_count) != DUET_OK ||
        duet_stun_value_algorithms(&choice, &chosen, &chosen_count) != DUET_OK || offered_count != ALGORITHM_COUNT)
        return false;
    for (size_t i = 0; i < ALGORITHM_COUNT; i++) {
        if (offered[i].algorithm != algorithms[i].algorithm || offered[i].parameters_len != 0)
            return false;
    }
    *sha256 = chosen.algorithm == DUET_STUN_SHA256;
    return chosen.parameters_len == 0 && (*sha256 || chosen.algorithm == DUET_STUN_MD5);
}

static bool copy_username(const duet_stun_attribute *a, char out[TURN_USERNAME_MAX + 1])
{
    if (a->len == 0 || a->len > TURN_USERNAME_MAX || memchr(a->value, 0, a->len))
        return false;
    memcpy(out, a->value, a->len);
    out[a->len] = 0;
    return true;
}

/* The key of somebody who is known. @return DUET_OK, DUET_ERR_NOT_FOUND, DUET_ERR_CRYPTO */
static int find_key(const turn_credentials *c, bool sha256, duet_time now, turn_identity *who)
{
    const turn_static_user *user = user_of_name(c, who->username);
    uint64_t expiry;
    const char *rest;

    if (user) {
        who->key = sha256 ? user->sha256 : user->md5;
        return DUET_OK;
    }
    if (!c->secret || !parse_expiry(who->username, &expiry, &rest) || !is_current(c, expiry, now))
        return DUET_ERR_NOT_FOUND;
    return time_limited_key(c, &who->key, sha256, who->username);
}

/* USERNAME, or the user whose hash USERHASH is. @return false when nobody is named that could be known */
static bool read_name(const turn_credentials *c, const duet_stun_message *m, turn_identity *who)
{
    duet_stun_attribute a;

    if (duet_stun_find(m, DUET_STUN_USERNAME, &a))
        return copy_username(&a, who->username);
    if (!duet_stun_find(m, DUET_STUN_USERHASH, &a) || a.len != 32)
        return false;
    const turn_static_user *user = user_of_hash(c, a.value);
    if (user)
        strcpy(who->username, user->username);
    return user != NULL;
}

static bool has_name(const duet_stun_message *m)
{
    return duet_stun_find(m, DUET_STUN_USERNAME, NULL) || duet_stun_find(m, DUET_STUN_USERHASH, NULL);
}

unsigned duet_turn_authenticate(const turn_credentials *c, const duet_stun_message *m, const duet_address *client,
                                const turn_allocation *allocation, duet_time now, turn_identity *who)
{
    duet_stun_attribute nonce, realm;
    bool key_is_sha256;

    if (!m->integrity && !m->integrity_sha256)
        return 401;
    if (!has_name(m) || !duet_stun_find(m, DUET_STUN_REALM, &realm) || !duet_stun_find(m, DUET_STUN_NONCE, &nonce) ||
        !choose_algorithm(m, &nonce, &key_is_sha256))
        return 400;
    if (!read_name(c, m, who))
        return 401;
    /* "If the ... username ... does not match ... 441 (Wrong Credentials)" RFC 8656 section 5 */
    if (allocation && strcmp(who->username, allocation->username) != 0)
        return 441;
    if (allocation && allocation->key.len == (key_is_sha256 ? DUET_SHA256_LEN : DUET_MD5_LEN)) {
        /* An allocation outlives the credentials that it was made with: a call is not cut off when they expire. */
        who->key = allocation->key;
    } else {
        int err = find_key(c, key_is_sha256, now, who);
        if (err != DUET_OK)
            return err == DUET_ERR_NOT_FOUND ? 401 : 500;
    }
    who->sha256 = m->integrity_sha256 != 0;
    int err = who->sha256 ? duet_stun_verify_integrity_sha256(m, who->key.bytes, who->key.len)
                          : duet_stun_verify_integrity(m, who->key.bytes, who->key.len);
    if (err != DUET_OK)
        return 401;
    return nonce_is_current(c, &nonce, client, now) ? 0 : 438;
}
