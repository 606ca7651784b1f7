/** The sentences of export and import, beside those that all pages share. */
import { catalogue, speaker } from "./strings.js";

// biome-ignore format: one line a sentence
const own = {
  // [English, 简体中文]
  export_all: ["All conversations", "全部对话"],
  export_table: ["CSV", "CSV"],
  export_table_hint: ["A row per message with its figures, for a spreadsheet", "每条消息一行并附统计，适合电子表格"],
  export_html: ["Web page", "网页"],
  export_html_hint: ["One file to read anywhere, light and dark", "单个文件，随处可读，浅色深色皆宜"],
  export_json: ["JSON", "JSON"],
  export_json_hint: ["Everything, with all branches; can be imported again", "包含全部内容与所有分支，可再次导入"],
  export_markdown: ["Markdown", "Markdown"],
  export_markdown_hint: ["The text, for notes and other editors", "纯文本，适合笔记和其他编辑器"],
  export_notebook: ["Notebook", "笔记本"],
  export_notebook_hint: ["Asks the same questions again when it is run", "运行时会重新提出相同的问题"],
  export_one: ["This conversation", "当前对话"],
  export_title: ["Export", "导出"],
  export_what: ["What to export", "导出范围"],
  export_zip: ["a ZIP with a file for each", "ZIP，每个对话一个文件"],
  import_again: ["Import another file", "导入其他文件"],
  import_broken: ["Not all of the file could be read.", "文件未能全部读取。"],
  import_cancel: ["Stop the import", "停止导入"],
  import_choose: ["Choose a file", "选择文件"],
  import_drop: ["Drop a file here, or choose one.", "将文件拖放到此处，或选择文件。"],
  import_hint: [
    "Conversations that were exported here as JSON, from ChatGPT (conversations.json, or the ZIP that holds it) or from Open WebUI.",
    "从此处导出的 JSON、ChatGPT 的导出（conversations.json 或包含它的 ZIP），或 Open WebUI 的导出。",
  ],
  import_imported: ["{n} imported", "已导入 {n} 个"],
  import_messages: ["New messages", "新增消息"],
  import_more: ["Show more", "显示更多"],
  import_none: ["There was no conversation in the file.", "文件中没有对话。"],
  import_once: ["Importing a file again changes nothing.", "重复导入同一文件不会产生任何改动。"],
  import_place: ["Place", "位置"],
  import_present: ["{n} there already", "已存在 {n} 个"],
  import_reading: ["Reading {name}", "正在读取 {name}"],
  import_reason: ["Why", "原因"],
  import_refused: ["{n} refused", "未导入 {n} 个"],
  import_sending: ["Sending {name}", "正在发送 {name}"],
  import_title: ["Import", "导入"],
  import_updated: ["{n} updated", "已更新 {n} 个"],
  import_waiting: ["The connection broke. Going on…", "连接中断，正在继续…"],
  import_what: ["Conversation", "对话"],
};

const sentences = { ...catalogue, ...own };

export const t = speaker(sentences);
