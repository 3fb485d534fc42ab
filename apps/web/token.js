// The access token: kept for this tab, and out of the address.

const KEY = 'duet-token';

export const savedToken = () => sessionStorage.getItem(KEY) ?? '';
export const saveToken = (token) => sessionStorage.setItem(KEY, token);

// What the token says of itself; only the server can tell whether it is true. {} when it is no JSON Web Token.
export function claims(token) {
  try {
    const body = token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
    const read = JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(body), (c) => c.charCodeAt(0))));
    return read !== null && typeof read === 'object' ? read : {};
  } catch {
    return {};
  }
}

// Whether it is worth trying: a token that does not show its permissions may have them all.
export function may(token, permission) {
  const { sub, perm } = claims(token);
  return sub === undefined || (perm ?? ['join']).includes(permission);
}
