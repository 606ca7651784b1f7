/** The sentences about going back to what was said, beside those that all pages share. */
import { catalogue, speaker } from "./strings.js";

// biome-ignore format: one line a sentence
const own = {
  // [English, 简体中文]
  ask_again: ["Regenerate ({model})", "重新生成（{model}）"],
  ask_other: ["Regenerate with another model", "用其他模型重新生成"],
  context_estimated: ["estimated", "估算"],
  context_full: ["Context {n} full", "上下文已用 {n}"],
  context_left_out: ["The oldest {n|message no longer fits: the model does not read it|messages no longer fit: the model does not read them} any more.", "最早的 {n} 条消息已放不下，模型不再读取。"],
  context_now: ["Context", "上下文"],
  context_of: ["{used} of {limit} tokens", "{used} / {limit} 词元"],
  context_used: ["{used|token|tokens}", "{used} 词元"],
  cost: ["Cost", "费用"],
  cost_unpriced: ["{n|answer|answers} unpriced", "{n} 个回答无定价"],
  edit_cancel: ["Cancel", "取消"],
  edit_hint: ["Edit your message", "编辑消息"],
  edit_keeps: ["What was said stays: the arrows lead back to it.", "原内容会保留，可用箭头切换回去。"],
  edit_message: ["Edit", "编辑"],
  edit_send: ["Send", "发送"],
  elsewhere: ["An answer is being written on another branch.", "另一分支正在生成回答。"],
  elsewhere_show: ["Show it", "查看"],
  go_on: ["Continue", "继续"],
  read_tokens: ["Tokens read", "输入词元"],
  so_far: ["This conversation so far", "本次对话累计"],
  so_far_hint: ["All branches, and its title", "包含所有分支和标题"],
  temporary: ["Temporary conversation", "临时对话"],
  temporary_told: ["Temporary: in no list, and gone when you leave it.", "临时对话：不会列出，离开后即删除。"],
  titles_off: ["Turn off automatic titles", "关闭自动标题"],
  titles_on: ["Turn on automatic titles", "开启自动标题"],
  version_after: ["Next version", "下一个版本"],
  version_before: ["Previous version", "上一个版本"],
  versions: ["Version {n} of {count}", "第 {n} 个版本，共 {count} 个"],
  written_tokens: ["Tokens written", "输出词元"],
};

export const t = speaker({ ...catalogue, ...own });
