/** The page's icons: strokes on a grid of 24, in the colour of the text around. */

const PATHS = {
  menu: "M4 7h16M4 12h16M4 17h10",
  compose: "M12 20h8M15.5 4.5a2.1 2.1 0 0 1 3 3L8 18l-4 1 1-4Z",
  search: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14ZM16 16l4 4",
  settings: "M4 7h9M19 7h1M4 17h1M11 17h9M16 4.5v5M8 14.5v5",
  send: "M12 19V5M6 11l6-6 6 6",
  stop: "M7 7h10v10H7Z",
  copy: "M9 9h10v10H9ZM5 15V5h10",
  check: "M5 12.5l4.5 4.5L19 7.5",
  again: "M19 12a7 7 0 1 1-2.2-5.1M19 4v4h-4",
  edit: "M15.5 4.5a2.1 2.1 0 0 1 3 3L8 18l-4 1 1-4Z",
  down: "M6 9l6 6 6-6",
  right: "M9 6l6 6-6 6",
  left: "M15 6l-6 6 6 6",
  arrowDown: "M12 5v14M6 13l6 6 6-6",
  close: "M6 6l12 12M18 6L6 18",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  export: "M12 4v11M8 11l4 4 4-4M5 20h14",
  think: "M9.5 17.5h5M10.5 20.5h3M9 14.5c-1.8-1.1-3-2.9-3-5a6 6 0 0 1 12 0c0 2.1-1.2 3.9-3 5v.5H9Z",
  folder: "M4 7V5h6l2 2h8v12H4Z",
  warning: "M12 9v4M12 16.5v.1M12 4L3 19.5h18Z",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" width="20" height="20" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}
