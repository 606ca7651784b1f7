/** Inline icons: fonts lack them, and files would have to be loaded. They inherit colour and size of the text. */
const paths = {
  again: "M20 11a8 8 0 1 0-2.300 6.300M20 4.500V11h-6.500",
  alert: "M12 8v5m0 3.5v.1M10.3 4 2.6 17.5A2 2 0 0 0 4.3 20.5h15.4a2 2 0 0 0 1.7-3L13.7 4a2 2 0 0 0-3.4 0Z",
  archive: "M4 5h16v4H4Zm1 4v10h14V9M10 13h4",
  arrow_down: "M12 5v14m-6-6 6 6 6-6",
  arrow_up: "M12 19V5m-6 6 6-6 6 6",
  assistant:
    "M12 3v3m-5 2h10a2 2 0 0 1 2 2v7a2 2 0 0 1-2 2H7a2 2 0 0 1-2-2v-7a2 2 0 0 1 2-2Zm2 4.500v1.500m6-1.500v1.500M2.500 12v3m19-3v3",
  attach:
    "M20 11.500 12.100 19.400a5 5 0 0 1-7.100-7.100l8-8a3.300 3.300 0 0 1 4.700 4.700l-8 8a1.700 1.700 0 0 1-2.400-2.400l7.300-7.300",
  back: "M15 5l-7 7 7 7",
  braces:
    "M9 4H8a2 2 0 0 0-2 2v3.500c0 1.500-1 2.500-2.500 2.500C5 12 6 13 6 14.500V18a2 2 0 0 0 2 2h1M15 4h1a2 2 0 0 1 2 2v3.500c0 1.500 1 2.500 2.500 2.500-1.500 0-2.500 1-2.500 2.500V18a2 2 0 0 1-2 2h-1",
  chat: "M5 5h14a1 1 0 0 1 1 1v9a1 1 0 0 1-1 1h-8l-5 4v-4H5a1 1 0 0 1-1-1V6a1 1 0 0 1 1-1Z",
  check: "m5 12.5 4.5 4.5L19 7.5",
  chevron: "m6 9 6 6 6-6",
  clock: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Zm0 4.500V12l3 2",
  close: "M6 6l12 12M18 6 6 18",
  code: "m8 7-5 5 5 5m8-10 5 5-5 5",
  copy: "M9 9h9a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2H9a2 2 0 0 1-2-2v-8a2 2 0 0 1 2-2Zm6-3V5a2 2 0 0 0-2-2H5a2 2 0 0 0-2 2v8a2 2 0 0 0 2 2",
  download: "M12 4v11m-5-4.5 5 5 5-5M5 20h14",
  file: "M7 3h7l5 5v12a1 1 0 0 1-1 1H7a1 1 0 0 1-1-1V4a1 1 0 0 1 1-1Zm7 0v5h5",
  folder: "M4 6a1 1 0 0 1 1-1h4.500l2 2.500H19a1 1 0 0 1 1 1V18a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1Z",
  forward: "m9 5 7 7-7 7",
  function: "M17.500 4.500c-2.500-1.500-4 0-4.500 3l-1.500 9c-.5 3-2 4.500-4.500 3M8.500 10h8",
  globe: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18ZM3.5 12h17M12 3c5 5.5 5 12.5 0 18M12 3c-5 5.5-5 12.5 0 18",
  hide: "M4 4l16 16M10 6.200A9.500 9.500 0 0 1 12 6c5 0 8.300 4.200 9 6a12 12 0 0 1-2.600 3.600M6.600 7.700A12 12 0 0 0 3 12c.7 1.800 4 6 9 6a9.600 9.600 0 0 0 4.200-1",
  home: "M4 11 12 4l8 7v8a1 1 0 0 1-1 1h-4.500v-6h-5v6H5a1 1 0 0 1-1-1Z",
  idea: "M9 18h6m-5 3h4M12 3a6 6 0 0 0-3.6 10.800c.7.6 1.1 1.2 1.1 2.200h5c0-1 .4-1.6 1.1-2.200A6 6 0 0 0 12 3Z",
  keyboard:
    "M4 6.500h16a1 1 0 0 1 1 1v9a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1v-9a1 1 0 0 1 1-1ZM7 10h.01M10.400 10h.01M13.700 10h.01M17 10h.01M8 14h8",
  link: "M10 14a4 4 0 0 0 5.700 0l3.500-3.500a4 4 0 0 0-5.700-5.700L12 6.300m2 3.700a4 4 0 0 0-5.700 0l-3.500 3.500a4 4 0 0 0 5.700 5.700l1.500-1.500",
  mail: "M4 6h16a1 1 0 0 1 1 1v10a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V7a1 1 0 0 1 1-1Zm-.5.8L12 13l8.5-6.2",
  menu: "M4 7h16M4 12h16M4 17h10",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  notebook: "M7 3h11a1 1 0 0 1 1 1v16a1 1 0 0 1-1 1H7a1 1 0 0 1-1-1V4a1 1 0 0 1 1-1Zm3 0v18M4 8h3m-3 4h3m-3 4h3",
  pencil: "M4 20l1-4.500L16.5 4a2 2 0 0 1 2.8 0l.7.7a2 2 0 0 1 0 2.800L8.5 19 4 20Z",
  pin: "M9 4h6l-.5 6 3 3.500h-11l3-3.500ZM12 13.500V20",
  plug: "M9 3v5m6-5v5M6 8h12v3a6 6 0 0 1-12 0Zm6 9v4",
  plus: "M12 5v14M5 12h14",
  probe: "M10 3v6l-5 9a2 2 0 0 0 1.800 3h10.400a2 2 0 0 0 1.800-3l-5-9V3M8.500 3h7M7.500 15h9",
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14Zm5 12 4.5 4.5",
  share: "M12 15V4m-4 3.500L12 4l4 3.500M6 11H5v9h14v-9h-1",
  show: "M3 12c.7-1.800 4-6 9-6s8.300 4.200 9 6c-.7 1.800-4 6-9 6s-8.300-4.200-9-6Zm9-2.700a2.700 2.700 0 1 0 0 5.400 2.700 2.700 0 0 0 0-5.400Z",
  sliders: "M4 8h9m5 0h2M4 16h2m5 0h9M15.5 5.500v5M8.5 13.500v5",
  stop: "M8 7h8a1 1 0 0 1 1 1v8a1 1 0 0 1-1 1H8a1 1 0 0 1-1-1V8a1 1 0 0 1 1-1Z",
  table: "M4 5h16a1 1 0 0 1 1 1v12a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V6a1 1 0 0 1 1-1ZM3 10h18M3 14.500h18M9.500 10v9",
  tag: "M4 5a1 1 0 0 1 1-1h6.500L20 12.500 12.500 20 4 11.500ZM8.500 8.500h.01",
  terminal: "M4 5h16a1 1 0 0 1 1 1v12a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1V6a1 1 0 0 1 1-1Zm3 4 3 3-3 3m5.500 0H17",
  thought: "M12 3v3m0 12v3M3 12h3m12 0h3M5.6 5.600l2.1 2.100m8.6 8.6 2.1 2.100m0-12.8-2.1 2.100m-8.6 8.6-2.1 2.1",
  trash: "M4 7h16M10 11v6m4-6v6M6 7l1 12a2 2 0 0 0 2 2h6a2 2 0 0 0 2-2l1-12M9 7V5a2 2 0 0 1 2-2h2a2 2 0 0 1 2 2v2",
  upload: "M12 16V5M7 9.500l5-5 5 5M5 20h14",
};

const solid = { stop: true };

export function Icon({ name }) {
  return (
    <svg class={`lw-icon lw-icon-${name}`} viewBox="0 0 24 24" width="1em" height="1em" aria-hidden="true">
      <path d={paths[name]} class={solid[name] ? "lw-solid" : ""} />
    </svg>
  );
}

/** A button that is an icon; `label` is its name and tooltip. */
export function IconButton({ name, label, ...rest }) {
  return (
    <button type="button" class="lw-icon-button" title={label} aria-label={label} {...rest}>
      <Icon name={name} />
    </button>
  );
}
