/** The sentences of the chat page, beside those that all pages share. */
import { catalogue, speaker } from "./strings.js";

// biome-ignore format: one line a sentence
const own = {
  // [English, 简体中文]
  as_code: ["Show as code", "显示为代码"],
  as_code_hint: ["These lines do in a notebook what the page did last.", "在笔记本中运行这些代码，即可重现页面上的最近一次操作。"],
  copied_last: ["The last answer is copied.", "已复制最后一个回答。"],
  earlier_coming: ["Earlier messages are coming…", "正在加载更早的消息…"],
  shortcut_copy: ["Copy the last answer", "复制最后一个回答"],
  shortcut_line: ["New line", "换行"],
  shortcut_next: ["Next message", "下一条消息"],
  shortcut_next_chat: ["Next conversation", "下一个对话"],
  shortcut_previous: ["Previous message", "上一条消息"],
  shortcut_previous_chat: ["Previous conversation", "上一个对话"],
  shortcut_send: ["Send the message", "发送消息"],
  shortcut_stop: ["Stop the answer", "停止回答"],
  shortcuts: ["Keyboard shortcuts", "键盘快捷键"],
  unsent_show: ["Show it", "查看"],
};

export const t = speaker({ ...catalogue, ...own });
