/** The sentences about sharing and assistants, beside those that all pages share. */
import { t as shared, speaker } from "./strings.js";

// biome-ignore format: one line a sentence
const own = {
  // [English, 简体中文]
  assistant_actions: ["Menu of {name}", "{name} 的菜单"],
  assistant_deleted: ["{name} is deleted.", "已删除 {name}。"],
  assistant_description: ["What it is good for", "用途"],
  assistant_edit: ["Edit assistant", "编辑助手"],
  assistant_hint: [
    "Conversations that are begun with it copy the model, the prompt and the parameters.",
    "用它开始的对话会复制模型、提示词和参数。",
  ],
  assistant_name: ["Name", "名称"],
  assistant_new: ["Save as assistant", "保存为助手"],
  assistant_none: ["Without an assistant", "不使用助手"],
  assistant_of: ["by {owner}", "来自 {owner}"],
  assistant_open: ["Edit", "编辑"],
  assistant_parameters: ["Parameters: {told}", "参数：{told}"],
  assistant_parameters_none: ["the model’s own", "模型默认"],
  assistant_prompt: ["System prompt", "系统提示词"],
  assistant_prompt_hint: ["How it shall answer, and what it shall keep in mind", "它应当如何回答、需要牢记什么"],
  assistant_saved: ["{name} is saved. It is offered when you begin a conversation.", "已保存 {name}，开始新对话时可以选用。"],
  assistants: ["Assistants", "助手"],
  assistants_all: ["All {n} assistants", "全部 {n} 个助手"],
  continue_copy: ["Continue in a copy", "复制后继续"],
  continue_copy_hint: ["{owner} shares this with you to read. A copy is yours alone.", "{owner} 与您共享了此对话（只读）。副本只属于您。"],
  copy_link: ["Copy link", "复制链接"],
  days_1: ["1 day", "1 天"],
  days_30: ["30 days", "30 天"],
  days_365: ["1 year", "1 年"],
  days_7: ["7 days", "7 天"],
  days_never: ["until revoked", "直到撤销"],
  grant: ["Share", "共享"],
  grant_group: ["Group", "群组"],
  grant_name_group: ["Group to share with", "要共享的群组"],
  grant_name_person: ["Person to share with", "要共享的用户"],
  grant_person: ["Person", "个人"],
  grant_person_hint: ["Name they sign in with", "对方的登录名"],
  grant_take: ["Stop sharing with {name}", "停止与 {name} 共享"],
  grant_taken: ["{name} no longer has it.", "{name} 已无法访问。"],
  grants_none: ["Only you have it.", "目前只有您可以访问。"],
  leave_shared: ["Remove from my list", "从我的列表中移除"],
  left_shared: ["{title} is removed from your list.", "已从您的列表中移除 {title}。"],
  link_expired: ["expired {date}", "已于 {date} 过期"],
  link_expires: ["expires {date}", "{date} 过期"],
  link_forever: ["does not expire", "不会过期"],
  link_good_for: ["Good for", "有效期"],
  link_made: ["Made {time}", "创建于{time}"],
  link_make: ["Create link", "创建链接"],
  link_new: ["The new link. It is shown only now: copy it.", "新链接。仅在此时显示，请复制保存。"],
  link_revoke: ["Revoke", "撤销链接"],
  link_revoked: ["Revoked: it opens nothing any more.", "已撤销，该链接不再有效。"],
  links: ["Link", "链接"],
  links_hint: [
    "Whoever has the link reads what was said up to now, without an account. What is said later is not in it.",
    "任何持有链接的人无需账号即可阅读截至目前的内容，之后的内容不会包含在内。",
  ],
  only_read: ["Read only", "只读"],
  share_alone: ["Sharing needs a hub", "共享需要 Hub"],
  share_alone_hint: [
    "On this computer you are the only person. Send an export instead, or set up a hub for your team.",
    "这台电脑上只有您一人。您可以发送导出的文件，或为团队搭建 Hub。",
  ],
  share_assistant_hint: [
    "They begin conversations with it, where they may use its model, and see its prompt. Only you change it.",
    "对方可以用它开始对话（前提是可以使用该模型），并能看到提示词。只有您可以修改。",
  ],
  share_hint: [
    "They read along, live, and may go on in a copy of their own. System prompt and parameters stay with you.",
    "对方可以实时阅读，也可以在自己的副本中继续。系统提示词和参数不会共享。",
  ],
  share_open: ["Share…", "共享…"],
  share_people: ["People and groups", "用户和群组"],
  share_title: ["Share “{title}”", "共享“{title}”"],
  shared_empty: ["Nothing was said in it yet.", "对话中还没有内容。"],
  shared_from: ["Shared by {owner}", "由 {owner} 共享"],
  shared_more: ["Show more", "显示更多"],
  shared_with_me: ["Shared with me", "与我共享"],
  temperature_is: ["temperature {n}", "温度 {n}"],
  tokens_at_most: ["at most {n|token|tokens}", "最多 {n} 个词元"],
  whom: ["Share with", "共享给"],
};

// Said so that a page which says none of these is not made heavier by them.
const ours = /* @__PURE__ */ speaker(own);

export const t = (key, values) => (Object.hasOwn(own, key) ? ours : shared)(key, values);
