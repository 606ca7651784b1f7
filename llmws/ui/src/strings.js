/** Every sentence that a page shows, in English and 简体中文. A test finds what is missing or unused. */
import { signal } from "@preact/signals";

export const language = signal("en");

// biome-ignore format: one line a sentence
const catalogue = {
  // [English, 简体中文]
  answer: ["Answer", "回答"],
  answering: ["Answering", "正在回答"],
  away: ["The service does not answer. Trying again…", "服务没有响应，正在重试…"],
  back: ["The service is back.", "服务已恢复。"],
  chat_actions: ["Conversation menu", "对话菜单"],
  chats: ["Conversations", "对话"],
  chats_empty: ["Your conversations will appear here.", "您的对话将显示在这里。"],
  chats_none: ["No conversation matches.", "没有匹配的对话。"],
  close: ["Close", "关闭"],
  compose: ["Message", "消息"],
  compose_hint: ["Ask anything", "随便问点什么"],
  context: ["{n} context", "{n} 上下文"],
  copied: ["Copied", "已复制"],
  copy: ["Copy", "复制"],
  copy_code: ["Copy code", "复制代码"],
  copy_message: ["Copy answer", "复制回答"],
  deleted: ["“{title}” deleted", "已删除“{title}”"],
  delete: ["Delete", "删除"],
  download_json: ["Download as JSON", "下载为 JSON"],
  download_markdown: ["Download as Markdown", "下载为 Markdown"],
  earlier: ["Show earlier messages", "显示更早的消息"],
  empty_title: ["What are you working on?", "今天想做点什么？"],
  failed: ["This answer did not work out.", "未能完成回答。"],
  figure_cost_none: ["unpriced", "无定价"],
  figure_cost_title: ["No price is known for this model.", "该模型没有已知的价格。"],
  figure_estimate: ["Estimated: the provider reported no usage.", "估算值：提供方未报告用量。"],
  figure_first: ["{s} to first token", "首词 {s}"],
  figure_speed: ["{n} tokens/s", "{n} 词元/秒"],
  figure_tokens: ["{n} tokens", "{n} 词元"],
  figure_tokens_title: ["{input} in, {output} out", "输入 {input}，输出 {output}"],
  finish_cancelled: ["Stopped.", "已停止。"],
  finish_content_filter: ["The provider withheld the rest.", "其余内容被提供方过滤。"],
  finish_interrupted: ["Interrupted: this is what had been said.", "已中断：以上是中断前的内容。"],
  finish_length: ["Cut off at the token limit.", "达到词元上限，回答被截断。"],
  language: ["中文", "English"],
  latest: ["Jump to latest", "跳到最新"],
  loading: ["Loading", "正在加载"],
  menu: ["Show conversations", "显示对话列表"],
  messages: ["Messages", "消息"],
  model: ["Model", "模型"],
  model_find: ["Find a model", "查找模型"],
  model_missing: ["not listed any more", "已不在列表中"],
  model_none: ["No model", "无可用模型"],
  model_none_hint: [
    "No model can be reached yet. `llmws doctor` says what is missing.",
    "目前没有可用的模型。运行 `llmws doctor` 查看缺少什么。",
  ],
  model_pick: ["Choose a model", "选择模型"],
  model_starting: ["starting", "启动中"],
  model_unavailable: ["unavailable", "不可用"],
  new_chat: ["New conversation", "新对话"],
  notice_hint: ["Dismiss", "知道了"],
  older_chats: ["Show more", "显示更多"],
  parameters: ["Parameters", "参数"],
  parameter_default: ["the model’s own", "模型默认"],
  parameter_max_tokens: ["Longest answer, in tokens", "回答最大词元数"],
  parameter_max_tokens_bad: ["A whole number from 1 up", "请输入不小于 1 的整数"],
  parameter_reset: ["Reset", "重置"],
  parameter_system: ["System prompt", "系统提示词"],
  parameter_system_hint: ["How the model shall behave in this conversation", "希望模型在本次对话中如何表现"],
  parameter_temperature: ["Temperature", "温度"],
  rename: ["Rename", "重命名"],
  rename_label: ["Title", "标题"],
  retry: ["Retry", "重试"],
  search: ["Search conversations", "搜索对话"],
  send: ["Send", "发送"],
  silent: [
    "The notebook’s kernel does not answer: it is busy, or gone. After a restart, run the cell again.",
    "笔记本内核没有响应：可能正忙或已停止。重启后请重新运行单元格。",
  ],
  stop: ["Stop", "停止"],
  suggest_1: ["Explain how a rainbow forms, for a ten-year-old", "用十岁孩子能懂的话解释彩虹是怎么形成的"],
  suggest_1_title: ["Explain", "解释"],
  suggest_2: [
    "Write a Python function that removes duplicates from a list and keeps the order",
    "写一个 Python 函数，去除列表中的重复项并保持顺序",
  ],
  suggest_2_title: ["Write code", "写代码"],
  suggest_3: ["Draft a short, friendly e-mail that moves a meeting to Thursday", "写一封简短友好的邮件，把会议改到周四"],
  suggest_3_title: ["Draft", "起草"],
  thinking: ["Thinking", "思考中"],
  thought: ["Thought", "思考过程"],
  thought_for: ["Thought for {s}", "思考了 {s}"],
  time_last_week: ["Previous 7 days", "过去 7 天"],
  time_older: ["Older", "更早"],
  time_today: ["Today", "今天"],
  time_yesterday: ["Yesterday", "昨天"],
  tool: ["Called {name}", "调用了 {name}"],
  undo: ["Undo", "撤销"],
  unknown_model: ["Choose another model to go on.", "请选择其他模型继续。"],
  untitled: ["Untitled", "未命名"],
  waiting: ["Waiting for the first token", "正在等待首个词元"],
  you: ["You", "您"],
};

/** The sentence `key` in the language of the page, with `{name}` filled in. Reading it follows the language. */
export function t(key, values = {}) {
  const sentence = catalogue[key][language.value === "zh" ? 1 : 0];
  return sentence.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** "en" or "zh": what was `wanted` ("auto" leaves it open) or `chosen` here before, else the document's or browser's. */
export function pickLanguage(wanted, chosen) {
  if (wanted === "en" || wanted === "zh") return wanted;
  if (chosen === "en" || chosen === "zh") return chosen;
  const told = [document.documentElement.lang, navigator.language];
  return told.some((tag) => /^zh\b/i.test(tag)) ? "zh" : "en";
}
