/** What a tab remembers over a reload (sessionStorage), or for as long as the page is open where a browser denies that. */

const page = new Map<string, string>();

export function remembered(name: string): string | null {
  try {
    return sessionStorage.getItem(name);
  } catch {
    return page.get(name) ?? null;
  }
}

/** Returns whether a reload will find it. */
export function remember(name: string, value: string): boolean {
  try {
    sessionStorage.setItem(name, value);
    return true;
  } catch {
    page.set(name, value);
    return false;
  }
}
