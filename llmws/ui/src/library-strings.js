/** The sentences about the list of conversations, beside those that all pages share. */
import { t as shared, speaker } from "./strings.js";

// biome-ignore format: one line a sentence
const own = {
  // [English, 简体中文]
  archive: ["Archive", "归档"],
  archive_back: ["All conversations", "全部对话"],
  archive_done: ["“{title}” archived", "已归档“{title}”"],
  archive_empty: ["Nothing is archived. Archive a conversation from its menu: it leaves the list, and search still finds it.", "没有已归档的对话。可在对话的菜单中归档：它会从列表中移除，但仍可搜索到。"],
  archive_undo: ["Move back to the list", "移回列表"],
  archive_undone: ["“{title}” is back in the list", "“{title}”已移回列表"],
  archived: ["Archived", "已归档"],
  chats_none: ["No conversation has all of these words. Try fewer, or the beginning of one.", "没有对话包含所有这些词。请减少词语，或只输入词的开头。"],
  entry_menu: ["Menu of {title}", "“{title}”的菜单"],
  folder_dissolve: ["Dissolve folder", "解散文件夹"],
  folder_menu: ["Menu of folder {name}", "文件夹“{name}”的菜单"],
  folder_move: ["Move to folder", "移动到文件夹"],
  folder_new: ["New folder…", "新建文件夹…"],
  folder_none: ["No folder", "不放入文件夹"],
  folders: ["Folders", "文件夹"],
  pin: ["Pin", "置顶"],
  pinned: ["Pinned", "置顶"],
  search_clear: ["Clear search", "清除搜索"],
  tag_empty: ["No conversation has this tag any more.", "已没有对话使用此标签。"],
  tag_new: ["New tag…", "新建标签…"],
  tags: ["Tags", "标签"],
  unpin: ["Unpin", "取消置顶"],
};

// Said so that a page which says none of these is not made heavier by them.
const ours = /* @__PURE__ */ speaker(own);

export const t = (key, values) => (Object.hasOwn(own, key) ? ours : shared)(key, values);
